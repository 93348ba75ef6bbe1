package adaptive

import (
	"net/netip"
	"os"
	"testing"
	"time"
)

// in4 is the i-th address of 198.51.100.0/24, in56 of the /64 of 2001:db8:1::/56, in48 of its /48 with every other in another /56.
func in4(i int) netip.Addr { return addr4(198, 51, 100, byte(i)) }

func in56(i int) netip.Addr { return addr6(1, uint16(i)) }

func in48(i int) netip.Addr { return addr6(1, uint16(i%200)<<8|uint16(i/200)) }

// Who stays below the line with each of many addresses is banned with the network of them.
func TestJustUnderTheLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		addr    func(i int) netip.Addr
		each    int           // guesses of an address
		rest    time.Duration // after each
		user    string
		unknown bool
		prepare func(s *scene)
		guesses int    // until the network is banned; 0: it is not
		want    string // the ban
	}{
		{"root from 60 /64 of a /48", in48, 4, time.Second, "root", false, nil, 40, "2001:db8:1::/48 1h"},
		{"root from 60 /64 of a /56", in56, 4, time.Second, "root", false, nil, 20, "2001:db8:1::/56 1h"},
		{"root from 60 addresses of a /24", in4, 4, time.Second, "root", false, nil, 40, "198.51.100.0/24 1h"},
		{"a name that the host does not have", in56, 1, time.Second, "oracle", true, nil, 20, "2001:db8:1::/56 1h"},
		{"nobody", in4, 1, time.Second, "", false, nil, 40, "198.51.100.0/24 1h"},
		{"two a day, for months", in4, 1, 12 * time.Hour, "root", false, nil, 0, ""},
		{"twelve a day", in4, 1, 2 * time.Hour, "root", false, nil, 80, "198.51.100.0/24 1h"},
		{"likewise without a slow window", in4, 1, 2 * time.Hour, "root", false, func(s *scene) { s.set(func(cfg *Config) { cfg.SlowRetry = 0 }) }, 0, ""},
		{"off", in4, 1, time.Second, "root", false, func(s *scene) { s.set(func(cfg *Config) { cfg.PrefixRetry = 0 }) }, 0, ""},
		{"twice as many", in56, 1, time.Second, "root", false, func(s *scene) { s.set(func(cfg *Config) { cfg.PrefixRetry = 16 }) }, 40, "2001:db8:1::/56 1h"},
		{
			"somebody logged in from its /24", in4, 1, time.Second, "root", false,
			func(s *scene) { s.login(in4(200), "alice", "publickey", 0) }, 0, "",
		},
		{
			"somebody logged in from its /48 long ago", in56, 1, time.Second, "root", false,
			func(s *scene) { s.login(addr6(1, 0xffff), "alice", "publickey", 0); s.wait(90 * day) }, 0, "",
		},
		{"strangers", func(i int) netip.Addr {
			b := netip.MustParseAddr("64:ff9b::").As16()
			b[15] = byte(i)
			return netip.AddrFrom16(b)
		}, 1, time.Second, "root", false, nil, 0, ""},
	} {
		s := newScene()
		if c.prepare != nil {
			c.prepare(s)
		}
		guesses := 0
		for i := 0; i < 240/c.each && len(s.bans) == 0; i++ {
			for range c.each {
				guesses++
				s.fail(c.addr(i), c.user, c.unknown)
				s.wait(c.rest)
			}
		}
		switch {
		case c.guesses == 0 && len(s.bans) > 0:
			t.Errorf("%s: banned %v after %d guesses", c.name, s.banned(), guesses)
		case c.guesses > 0 && (len(s.bans) != 1 || s.banned()[0] != c.want || guesses != c.guesses):
			t.Errorf("%s: banned %v after %d guesses, want %s after %d", c.name, s.banned(), guesses, c.want, c.guesses)
		}
	}
}

// spread has so many addresses fail once each on root.
func (s *scene) spread(addr func(i int) netip.Addr, from, to int) {
	for i := from; i < to; i++ {
		s.fail(addr(i), "root", false)
	}
}

// The ban of a network grows by offence, and counts for nothing after it.
func TestNetworkLadder(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.spread(in4, 0, 60) // of which 20 come while it is banned
	s.wait(2 * time.Hour)
	s.spread(in4, 60, 99)
	s.wants(t, "198.51.100.0/24 1h")
	s.spread(in4, 99, 100)
	s.wants(t, "198.51.100.0/24 1h", "198.51.100.0/24 1d")
	if got, want := s.bans[1].Reason.String(), "network: 40 of 40 points in 1d by all its addresses, offence 2, step 2"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

// What a banned address had, or one that was pardoned, is no longer its network's.
func TestNetworkLosesTheBanned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		forget string
		left   int // guesses of others until the network is banned
	}{
		{"a banned one", "", 32},
		{"a pardoned one", "198.51.100.3/32", 36},
		{"all pardoned", "198.51.100.0/24", 40},
		{"others pardoned", "198.51.101.0/24", 32},
	} {
		s := newScene()
		s.set(func(cfg *Config) { cfg.StrangerRetry = 0 })
		for i := range 2 { // ten points
			for range 5 {
				s.fail(in4(i), "root", false)
			}
		}
		s.wants(t, "198.51.100.0/32 1h", "198.51.100.1/32 1h")
		for range 4 {
			s.fail(in4(2), "root", false)
			s.fail(in4(3), "root", false)
		}
		if c.forget != "" {
			s.Forget(netip.MustParsePrefix(c.forget))
		}
		left := 0
		for before := len(s.bans); len(s.bans) == before && left < 99; left++ {
			s.fail(in4(10+left), "root", false)
		}
		if left != c.left || s.banned()[2] != "198.51.100.0/24 1h" {
			t.Errorf("%s: %d guesses until %v, want %d", c.name, left, s.banned(), c.left)
		}
	}
}

// A banned /56 is one of the banned of its /48, and its points are no longer those of the /48.
func TestFullNetworksInOne(t *testing.T) {
	t.Parallel()
	s := newScene()
	for net56 := range uint16(3) {
		s.spread(func(i int) netip.Addr { return addr6(1, net56<<8|uint16(i)) }, 0, 30)
	}
	s.wants(t, "2001:db8:1::/56 1h", "2001:db8:1:100::/56 1h", "2001:db8:1::/48 1h")
	if got, want := s.bans[2].Reason.String(), "prefix: 3 addresses in it banned within 30d, offence 1, step 1"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	s.wait(2 * time.Hour) // nothing is left of it all
	s.spread(in56, 100, 119)
	s.spread(in48, 1, 21)
	if len(s.bans) != 3 {
		t.Errorf("banned %v, before there were as many points again", s.banned())
	}
}

// A tally counts the last seven to eight eighths, whatever clock it is told.
func TestTally(t *testing.T) {
	t.Parallel()
	type step struct {
		eighth     uint32
		add, minus points
		want       points
	}
	for name, steps := range map[string][]step{
		"it slides":      {{100, 5, 0, 5}, {103, 2, 0, 7}, {107, 0, 0, 7}, {108, 0, 0, 2}, {110, 0, 0, 2}, {111, 0, 0, 0}},
		"a long pause":   {{100, 5, 0, 5}, {1000, 1, 0, 1}},
		"back a little":  {{100, 5, 0, 5}, {98, 2, 0, 7}, {105, 0, 0, 7}, {106, 0, 0, 5}, {108, 0, 0, 0}},
		"a wrong clock":  {{4000, 5, 0, 5}, {100, 2, 0, 2}},
		"taken back":     {{100, 5, 0, 5}, {101, 2, 0, 7}, {100, 0, 4, 3}, {100, 0, 4, 2}, {101, 0, 9, 0}},
		"too late":       {{100, 5, 0, 5}, {108, 2, 0, 2}, {100, 0, 5, 2}, {116, 0, 5, 2}},
		"it is no clock": {{0, 5, 0, 5}, {7, 65535, 0, 65535}, {8, 0, 0, 65535}, {15, 0, 0, 0}},
	} {
		var tally tally
		for i, s := range steps {
			if s.minus > 0 {
				tally.takeBack(s.eighth, s.minus)
			} else {
				tally.add(s.eighth, s.add)
			}
			if got := tally.sum(); got != s.want {
				t.Errorf("%s: %v after step %d, want %v", name, got, i, s.want)
			}
		}
	}
}

// Points of networks are in the snapshot; one of the edition before is read, and has none.
func TestNetworksInTheSnapshot(t *testing.T) {
	t.Parallel()
	s, other := newScene(), newScene()
	s.spread(in4, 0, 39)
	if err := other.Restore(snapshotVersion, snapshotOf(t, s.Detector)); err != nil {
		t.Fatal(err)
	}
	other.spread(in4, 39, 40)
	other.wants(t, "198.51.100.0/24 1h")

	data, err := os.ReadFile("testdata/snapshot-5")
	if err != nil {
		t.Fatal(err)
	}
	former := newScene()
	if err := former.Restore(5, data); err != nil {
		t.Fatal(err)
	}
	former.now = adaptiveStart.Add(2 * time.Hour)
	former.fail(addr4(198, 51, 100, 1), "jsmith", false) // its fifth
	for i := range 20 {
		former.wants(t, "198.51.100.1/32 1h")
		former.fail(in56(100+i), "jsmith", false)
	}
	former.wants(t, "198.51.100.1/32 1h", "2001:db8:1::/56 1h")
}
