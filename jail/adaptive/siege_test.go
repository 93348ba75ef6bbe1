package adaptive

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exile/jail/internal/netkey"
)

func contains(lines []string, part string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, part) })
}

// From the fifth network on, an attempt of a stranger on an account that nobody uses, or that names none, is half of a ban.
func TestSiege(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		user     string
		networks byte
		each     time.Duration // between the networks
		prepare  func(s *scene)
		want     int // guesses of the next address until it is banned
	}{
		{"an account that nobody uses", "root", 4, time.Minute, nil, 2},
		{"nobody", "", 4, time.Minute, nil, 2},
		{"too few networks", "root", 3, time.Minute, nil, 5},
		{"too slow", "root", 6, 2 * day, nil, 5},
		{"never", "root", 6, time.Minute, func(s *scene) { s.set(func(cfg *Config) { cfg.SiegeHosts = 0 }) }, 5},
		{"an account in use", "alice", 6, time.Minute, func(s *scene) { s.login(addr4(9, 9, 9, 9), "alice", "publickey", 0) }, 5},
		{"its own network", "root", 6, time.Minute, func(s *scene) { s.login(addr4(8, 8, 99, 99), "alice", "publickey", 0) }, 5},
	} {
		s := newScene()
		if c.prepare != nil {
			c.prepare(s)
		}
		for net := range c.networks {
			s.fail(addr4(20, net, 0, 1), c.user, false)
			s.wait(c.each)
		}
		guesses := 1
		for s.fail(addr4(8, 8, 8, 8), c.user, false) == 0 && guesses < 20 {
			guesses++
		}
		if guesses != c.want {
			t.Errorf("%s: banned at guess %d, want %d", c.name, guesses, c.want)
		}
	}
}

// Who names no account lays siege to none: what is said of it has no name.
func TestSiegeWithoutAName(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.SetAccounts([]string{"root", "nobody"}, nil)
	for net := range byte(5) {
		s.fail(addr4(20, net, 0, 1), "", false)
	}
	said := s.Explain(addr4(20, 4, 0, 1), s.now)
	if want := "siege: without a user name, by 5 networks within 7d; a stranger's attempt counts 2.5 points"; !slices.Contains(said, want) {
		t.Errorf("%q lacks %q", said, want)
	}
	s.fail(addr4(20, 4, 0, 1), "", false)
	if len(s.bans) != 1 || !strings.Contains(s.bans[0].Reason.String(), "siege by 5 networks without a user name,") {
		t.Errorf("banned %+v", s.bans)
	}
	if names := s.Names(s.now); len(names) > 0 || strings.Contains(fmt.Sprint(said), "nobody") {
		t.Errorf("names are %v, and it is said: %q", names, said)
	}
}

// Where somebody was banned, a stranger has two guesses for a month; who was pardoned leaves no trace.
func TestBesideTheBanned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		prepare func(s *scene)
		user    string
		want    int
	}{
		{"a stranger", nil, "root", 2},
		{"an account in use", func(s *scene) { s.login(addr4(9, 9, 9, 9), "alice", "publickey", 0) }, "alice", 5},
		{"somebody logged in there", func(s *scene) { s.login(addr4(192, 0, 99, 99), "alice", "publickey", 0) }, "root", 5},
		{"a month later", func(s *scene) { s.wait(30 * day) }, "root", 5},
		{"as everybody", func(s *scene) { s.set(func(cfg *Config) { cfg.StrangerRetry = 0 }) }, "root", 5},
		{"the address pardoned", func(s *scene) { s.Forget(netip.MustParsePrefix("192.0.2.1/32")) }, "root", 5},
		{"its network pardoned", func(s *scene) { s.Forget(netip.MustParsePrefix("192.0.0.0/12")) }, "root", 5},
		{"another pardoned", func(s *scene) { s.Forget(netip.MustParsePrefix("192.0.2.0/32")) }, "root", 2},
	} {
		s := newScene()
		for range 5 {
			s.fail(addr4(192, 0, 2, 1), "root", false)
		}
		if c.prepare != nil {
			c.prepare(s)
		}
		guesses := 1
		for s.fail(addr4(192, 0, 77, 1), c.user, false) == 0 && guesses < 20 {
			guesses++
		}
		if guesses != c.want {
			t.Errorf("%s: banned at guess %d, want %d", c.name, guesses, c.want)
		}
	}
}

// What is one client counts once: networks count, not addresses, and an IPv6 and an IPv4 address within an hour
// are one.
func TestSourcesCountClients(t *testing.T) {
	t.Parallel()
	type try struct {
		host netkey.ID
		at   int // minutes
	}
	v4 := func(a, b byte) netkey.ID { return netkey.IDOf(addr4(a, b, 0, 1)) }
	v6 := func(n uint16) netkey.ID { return netkey.IDOf(addr6(n, 1)) }
	for _, c := range []struct {
		name  string
		tries []try
		want  int
	}{
		{"one", []try{{v4(1, 1), 0}}, 1},
		{"two of a network", []try{{v4(1, 1), 0}, {v4(1, 1) + 99, 0}}, 1},
		{"two networks", []try{{v4(1, 1), 0}, {v4(1, 2), 0}}, 2},
		{"a pair", []try{{v6(1), 0}, {v4(1, 1), 1}}, 1},
		{"a pair an hour apart", []try{{v4(1, 1), 0}, {v6(1), 60}}, 1},
		{"no pair", []try{{v4(1, 1), 0}, {v6(1), 61}}, 2},
		{"a pair stays one", []try{{v6(1), 0}, {v4(1, 1), 1}, {v4(1, 1), 5000}, {v6(1), 9000}}, 1},
		{"two pairs", []try{{v6(1), 0}, {v6(2), 0}, {v4(1, 1), 1}, {v4(2, 2), 1}}, 2},
		{"nobody is in two pairs", []try{{v6(1), 0}, {v4(1, 1), 0}, {v4(2, 2), 0}}, 2},
		{"one of a pair long ago", []try{{v6(1), 0}, {v4(1, 1), 1}, {v4(1, 1), 31 * 24 * 60}}, 1},
	} {
		var sources sources
		for _, try := range c.tries {
			sources.see(try.host, stampOf(adaptiveStart.Add(minutes(try.at))))
		}
		last := stampOf(adaptiveStart.Add(minutes(c.tries[len(c.tries)-1].at)))
		if got := sources.count(last, 30*day); got != c.want || !sources.whole() {
			t.Errorf("%s: %d, want %d; whole %v", c.name, got, c.want, sources.whole())
		}
	}
	var many sources // those who are forgotten leave their twins alone
	for i := range uint16(100) {
		many.see(v6(i), stamp(i))
		many.see(v4(1, byte(i)), stamp(i))
	}
	if !many.whole() || many.n != maxSources || many.count(100, day) != maxCounted {
		t.Errorf("a hundred pairs: %+v", many)
	}
}
