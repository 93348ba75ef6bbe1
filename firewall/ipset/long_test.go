package ipset

import (
	"fmt"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// TestLongIsAssertedAgain lets time pass, by giving the kernel the timeouts that it would have then: a ban that is longer
// than the kernel keeps is left alone for half of what it keeps, and extended after that, also by a daemon that was started
// meanwhile.
func TestLongIsAssertedAgain(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := open(t, Config{NetNS: ns.FD})
	want := firewalltest.Many(1, false, time.Now().Add(60*24*time.Hour))
	left := func() (seconds int) {
		t.Helper()
		out := ns.Exec(t, "sh", "-c", "ipset save exile4 | grep ^add")
		if _, err := fmt.Sscanf(out, "add exile4 11.0.0.0 timeout %d", &seconds); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		return seconds
	}
	for _, c := range []struct {
		restart bool
		left    int // seconds
		again   bool
	}{
		{false, maxTimeout, false},
		{false, maxTimeout/2 + 60, false},
		{false, maxTimeout / 2, true},
		{false, 60, true},
		{true, maxTimeout - 60, true}, // it knows only what the kernel says
		{true, 60, true},
	} {
		if err := b.Apply(t.Context(), firewall.Change{Add: want}); err != nil {
			t.Fatal(err)
		}
		ns.Exec(t, "ipset", "add", "-exist", "exile4", "11.0.0.0", "timeout", fmt.Sprint(c.left))
		if c.restart {
			b.Close()
			b = open(t, Config{NetNS: ns.FD})
		}
		have, err := b.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		change := firewall.Diff(want, have)
		if (len(change.Add) == 1) != c.again || len(change.Del) != 0 {
			t.Errorf("%d s left, restart %t: change %v, want the ban again: %t", c.left, c.restart, change, c.again)
		}
		if err := b.Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if got := left(); c.again && got < maxTimeout-60 {
			t.Errorf("%d s left, restart %t: after the comparison the kernel keeps it for %d s", c.left, c.restart, got)
		}
		holds(t, b, want)
	}
}
