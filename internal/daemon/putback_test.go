package daemon

import (
	"testing"
	"time"
)

// TestClock: setting the clock back is noticed, and nothing else.
func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		last time.Time // by the clock on the wall alone
		back bool
	}{
		"as ever":     {now.Add(-5 * time.Second).Round(0), false},
		"put forward": {now.Add(-time.Hour).Round(0), false},
		"put back":    {now.Add(time.Hour).Round(0), true},
		"start":       {time.Time{}, true},
	} {
		clock := clock{last: c.last}
		for at := now; at.Before(now.Add(clockSettles)); at = at.Add(tickEvery) {
			if clock.look(at) {
				t.Errorf("%s: after %v", name, at.Sub(now))
			}
		}
		if got := clock.look(now.Add(clockSettles)); got != c.back {
			t.Errorf("%s: %t", name, got)
		}
		if clock.look(now.Add(2 * clockSettles)) {
			t.Errorf("%s: again", name)
		}
	}
}
