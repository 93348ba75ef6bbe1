package jail

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// Somebody with an account who logs in from thousands of networks makes nobody forgotten but that account: not another
// user, not another network of a shared account, and not who was known before a restart.
func TestManyLoginsOfOnePushOutNobodyElse(t *testing.T) {
	t.Parallel()
	login := func(d *AdaptiveDetector, user, addr string) {
		d.Observe(Attempt{Time: noon, Addr: netip.MustParseAddr(addr), User: user, Success: true, Method: "publickey"}, nil)
	}
	flood := func(d *AdaptiveDetector, user, format string) {
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
		d := NewAdaptive(DefaultAdaptive())
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
		if !d.known.neighbour(d.place(owner).net, at, time.Hour) || !d.known.region(d.place(owner).region, at, time.Hour) {
			t.Errorf("%s: the owner's network is forgotten", c.name)
		}
		if n := d.known.nets.len(); n != d.cfg.MaxKnown {
			t.Errorf("%s: %d networks are known, want %d: nothing was tested", c.name, n, d.cfg.MaxKnown)
		}
	}
}

// A key that two users share stays with the one who has fewer.
func TestSharedKeys(t *testing.T) {
	t.Parallel()
	mallory, alice, bob := sharer{1, 7}, sharer{2, 7}, sharer{3, 9}
	s := newShared[int, int](4, nil)
	for k, by := range []sharer{mallory, mallory, alice, mallory} {
		s.touch(k, int64(k), by)
	}
	s.touch(0, 4, alice) // who has one, while mallory has three
	s.touch(2, 5, mallory)
	s.touch(4, 6, bob) // mallory and alice have two each: the oldest goes
	if s.get(1) != nil || s.get(0) == nil || s.get(2) == nil {
		t.Errorf("kept: 0 %t, 1 %t, 2 %t", s.get(0) != nil, s.get(1) != nil, s.get(2) != nil)
	}
	for k := range 5 {
		s.delete(k)
	}
	if len(s.keys) != 0 {
		t.Errorf("%d counts of nothing are left", len(s.keys))
	}
}

// Putting keys in allocates nothing where the user and the network have been there.
func TestSharedAllocatesNothing(t *testing.T) {
	s := newShared[int, int](64, nil)
	k := 0
	add := func() { k++; s.touch(k, int64(k), sharer{1, 1}) }
	for range 128 {
		add()
	}
	if n := testing.AllocsPerRun(100, add); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
