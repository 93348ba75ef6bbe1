package jail_test

import (
	"net/netip"
	"testing"
	"time"
)

// Guesses at 0, 1, 2 s led to a ban, or were pardoned, at 2 s; one at 3 s was not. Reading all of them again after a
// restart leaves one that counts.
func TestRecalledAttemptsDoNotCountAgain(t *testing.T) {
	t.Parallel()
	j := newJail(t, tutorial(), nil)
	j.Recall(netip.MustParsePrefix("192.0.2.10/32"), start.Add(2*time.Second))
	for i := range 4 {
		e := entry(time.Duration(i)*time.Second, 7, failed("192.0.2.10"))
		e.Replayed = true
		if d := j.Observe(e); len(d) != 0 {
			t.Fatalf("replayed guess %d: decided %v", i+1, d)
		}
	}
	for i := range 2 {
		if d := j.Observe(entry(time.Duration(4+i)*time.Second, 7, failed("192.0.2.10"))); len(d) != 0 {
			t.Fatalf("guess %d after the restart: decided %v, want the ban at the third", i+1, d)
		}
	}
	if d := j.Observe(entry(6*time.Second, 7, failed("192.0.2.10"))); len(d) != 1 {
		t.Fatalf("decided %v, want a ban: 1 guess before the restart and 3 after", d)
	}
}
