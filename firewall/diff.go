package firewall

import (
	"slices"
	"time"
)

// slack is how far the end of a ban may differ before it is renewed: kernels keep timeouts in seconds, round them when they
// are set and when they are listed, and a long list takes its time.
const slack = 3 * time.Second

// Diff returns the change that turns what the kernel has into what is wanted. It leaves alone what is right already.
func Diff(want, have []Ban) Change {
	left := make(map[Key]int32, len(have)) // indexes in have: ends would take a third more memory
	for i, b := range have {
		left[b.Key] = int32(i)
	}
	c := Change{Add: slices.Grow([]Ban(nil), max(len(want)-len(have), 0))} // at least so many are missing
	for _, b := range want {
		i, ok := left[b.Key]
		if !ok || !sameEnd(have[i].Until, b.Until) {
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
