package adaptive

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"exile/jail"
)

// weigher gives all addresses the same weight.
type weigher jail.Weight

func (w weigher) Weigh(netip.Addr) jail.Weight { return jail.Weight(w) }
func (w weigher) Least() float64               { return w.Points }

// TestWeighed: a factor is one of points, of which five ban in a day, and one of ban times, up to the longest.
func TestWeighed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		weight jail.Weight
		fails  int
		ban    time.Duration
		reason string
	}{
		{jail.Weight{Points: 1, BanTime: 1}, 5, time.Hour, "count: 5 of 5 points in 1d, offence 1, step 1"},
		{jail.Weight{Points: 2, BanTime: 3}, 3, 3 * time.Hour, "count: 6 of 5 points in 1d, weighed 2 times by country or network, offence 1, step 1"},
		{jail.Weight{Points: 0.25, BanTime: 0.5}, 20, 30 * time.Minute, "weighed 0.25 times"},
		{jail.Weight{Points: 0.1, BanTime: 10}, 50, 10 * time.Hour, "count: 5 of 5"},
		{jail.Weight{Points: 10, BanTime: 1}, 1, time.Hour, "count: 10 of 5"},
		{jail.Weight{Points: 0.5, BanTime: 1, First: true}, 1, time.Hour, "enough at the first failure by country or network"},
	} {
		s := newScene()
		s.set(func(cfg *Config) { cfg.Weigher, cfg.SlowRetry = weigher(c.weight), 0 })
		n := 0
		for n < 100 && len(s.bans) == 0 {
			s.fail(addr4(192, 0, 2, 1), "root", false)
			s.wait(time.Minute)
			n++
		}
		if n != c.fails || len(s.bans) == 0 {
			t.Errorf("%+v: %d failures and %d bans, want a ban after %d", c.weight, n, len(s.bans), c.fails)
			continue
		}
		if v := s.bans[0]; v.Failures != n || v.Duration != c.ban || !strings.Contains(v.Reason.String(), c.reason) {
			t.Errorf("%+v: %d failures, %v, %q; want %v, %q", c.weight, v.Failures, v.Duration, v.Reason, c.ban, c.reason)
		}
	}
}

// TestWeighedKnown: who logged in from there is no stranger, wherever that is.
func TestWeighedKnown(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.set(func(cfg *Config) { cfg.Weigher = weigher{Points: 1, BanTime: 1, First: true} })
	home := addr4(192, 0, 2, 1)
	s.Observe(jail.Attempt{Time: s.now, Addr: home, User: "alice", Method: "password", Success: true}, nil)
	if s.fail(home, "alice", false) > 0 {
		t.Error("the first failure after a login bans")
	}
}

// TestWeighedSums: what an address added to its networks is taken back exactly when it is pardoned.
func TestWeighedSums(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.set(func(cfg *Config) { cfg.Weigher = weigher{Points: 1.37, BanTime: 1} })
	for range 3 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
	}
	s.fail(addr4(192, 0, 2, 2), "root", false)
	s.Forget(netip.MustParsePrefix("192.0.2.1/32"))
	wide, _ := wideOf(netip.MustParsePrefix("192.0.2.0/24"))
	for i, tally := range s.tallies.Get(wide) {
		if tally.sum() != 137 {
			t.Errorf("window %d: %v points, want those of one failure", i, tally.sum())
		}
	}
}
