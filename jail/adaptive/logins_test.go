package adaptive

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"exile/jail"
)

// Somebody with an account who logs in from thousands of networks makes nobody forgotten but that account: not another
// user, not another network of a shared account, and not who was known before a restart.
func TestManyLoginsOfOnePushOutNobodyElse(t *testing.T) {
	t.Parallel()
	login := func(d *Detector, user, addr string) {
		d.Observe(jail.Attempt{Time: noon, Addr: netip.MustParseAddr(addr), User: user, Success: true, Method: "publickey"}, nil)
	}
	flood := func(d *Detector, user, format string) {
		for i := range 2100 {
			login(d, user, fmt.Sprintf(format, i))
		}
	}
	for _, c := range []struct {
		name, user, format string
		restart            bool
	}{
		{"from the /64s of a /48", "mallory", "2001:db8:bad:%x::1", false},
		{"from a /48 each", "mallory", "2001:db8:%x::1", false},
		{"from the /64s of a /48, on a shared account", "alice", "2001:db8:bad:%x::1", false},
		{"from a /48 each, known before a restart", "mallory", "2001:db8:%x::1", true},
	} {
		d := New(Default())
		owner := netip.MustParseAddr("203.0.113.7")
		login(d, "alice", owner.String())
		if c.restart {
			version, data, err := d.Snapshot()
			if err != nil || d.Restore(version, data) != nil {
				t.Fatalf("%s: snapshot: %v", c.name, err)
			}
		}
		flood(d, c.user, c.format)
		at := stampOf(noon)
		p := d.place(owner)
		if around := d.known.company(&p, at, time.Hour); !around.neighbour || !around.nearLately {
			t.Errorf("%s: the owner's network is forgotten", c.name)
		}
		if n := d.known.nets.Len(); n != d.cfg.MaxKnown {
			t.Errorf("%s: %d networks are known, want %d: nothing was tested", c.name, n, d.cfg.MaxKnown)
		}
	}
}
