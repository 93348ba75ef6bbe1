package human

import (
	"fmt"
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		n     int
		nouns string
	}{
		"0 bans": {0, "bans"}, "1 ban": {1, "bans"}, "2 bans": {2, "bans"}, "1 address": {1, "addresses"}, "2 addresses": {2, "addresses"},
		"1 entry": {1, "entries"}, "1 ban time": {1, "ban times"},
	} {
		if got := Count(c.n, c.nouns); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func ExampleSpan() {
	for _, d := range []time.Duration{
		0, 1500 * time.Millisecond, 10 * time.Minute, 90 * time.Minute, 24 * time.Hour, 167 * time.Hour, 168 * time.Hour, 31 * 24 * time.Hour, -1,
	} {
		fmt.Println(Span(d))
	}
	// Output:
	// 0ms
	// 1s
	// 10min
	// 1h 30min
	// 1d
	// 6d 23h
	// 1w
	// 1month
	// infinity
}
