package firewall

import (
	"slices"
	"time"
)

// slack is how far the end of a ban may differ before it is renewed: kernels keep timeouts in seconds, round them when they
// are set and when they are listed, and a long list takes its time.
const slack = 3 * time.Second

// Diff returns the change that turns what the kernel has into what is wanted. It touches nothing that is right already.
func Diff(want, have []Ban) Change {
	left := make(map[Key]time.Time, len(have))
	for _, b := range have {
		left[b.Key] = b.Until
	}
	c := Change{Add: slices.Grow([]Ban(nil), max(len(want)-len(have), 0))} // so many are lacking at least
	for _, b := range want {
		until, ok := left[b.Key]
		if !ok || !sameEnd(until, b.Until) {
			c.Add = append(c.Add, b)
		}
		delete(left, b.Key)
	}
	for k := range left {
		c.Del = append(c.Del, k)
	}
	return c
}

func sameEnd(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() == b.IsZero()
	}
	d := a.Sub(b)
	return -slack <= d && d <= slack
}
