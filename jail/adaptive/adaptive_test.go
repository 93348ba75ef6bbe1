package adaptive

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exile/jail"
	"exile/jail/internal/text"

	"github.com/google/go-cmp/cmp"
)

var (
	adaptiveStart = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	noon          = time.Unix(1_700_000_000, 0)
)

// cmpVerdict lets cmp look at verdicts.
var cmpVerdict = cmp.Options{cmpPrefix, cmp.AllowUnexported(reason{})}

// cmpPrefix lets cmp look at prefixes.
var cmpPrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

var (
	_ jail.Detector = (*Detector)(nil)
	_ jail.Lister   = (*Detector)(nil)
	_ jail.Releaser = (*Detector)(nil)
	_ jail.Windowed = (*Detector)(nil)
)

// hostsOf are those that a detector counts, in order.
func hostsOf(l jail.Lister) []jail.Host {
	var hosts []jail.Host
	for h := range l.Hosts {
		hosts = append(hosts, h)
	}
	slices.SortFunc(hosts, func(a, b jail.Host) int { return a.Prefix.Compare(b.Prefix) })
	return hosts
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

func addr4(a, b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, c, d}) }

// addr6 is an address of the /64 with that number in a /48.
func addr6(net48, net64 uint16) netip.Addr {
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}
	binary.BigEndian.PutUint16(b[4:], net48)
	binary.BigEndian.PutUint16(b[6:], net64)
	return netip.AddrFrom16(b)
}

// scene is a detector and a clock.
type scene struct {
	*Detector
	now  time.Time
	bans []jail.Verdict
}

func newScene() *scene {
	s := &scene{Detector: New(Default()), now: adaptiveStart}
	s.SetAccounts([]string{"root", "alice", "jsmith"}, nil)
	return s
}

// set changes the knobs.
func (s *scene) set(change func(cfg *Config)) {
	change(&s.cfg)
	s.limits = newLimits(&s.cfg)
}

func (s *scene) wait(d time.Duration) *scene { s.now = s.now.Add(d); return s }

// fail is a failed attempt; it returns how many bans it caused.
func (s *scene) fail(addr netip.Addr, user string, unknown bool) int {
	before := len(s.bans)
	s.bans = s.Observe(jail.Attempt{Time: s.now, Addr: addr, User: user, Unknown: unknown, Guesses: 1, Rule: "failed"}, s.bans)
	return len(s.bans) - before
}

func (s *scene) login(addr netip.Addr, user, method string, forgiven int) {
	s.bans = s.Observe(jail.Attempt{Time: s.now, Addr: addr, User: user, Method: method, Success: true, Forgiven: forgiven}, s.bans)
}

// banned are the prefixes banned so far with their ban times.
func (s *scene) banned() []string {
	var list []string
	for _, v := range s.bans {
		list = append(list, fmt.Sprintf("%v %s", v.Prefix, text.Span(v.Duration)))
	}
	return list
}

func (s *scene) wants(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.banned()); diff != "" {
		t.Errorf("bans (-want +got):\n%s", diff)
	}
}

func TestFiveADayOrTenAMonth(t *testing.T) {
	t.Parallel()
	s := newScene()
	for range 5 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
		s.wait(time.Hour)
	}
	for range 10 {
		s.fail(addr4(198, 51, 100, 1), "root", false)
		s.wait(day + time.Second)
	}
	s.wants(t, "192.0.2.1/32 1h", "198.51.100.1/32 1h")
	if got, want := s.bans[0].Reason.String(), "count: 5 of 5 points in 1d, offence 1, step 1"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	if got, want := s.bans[1].Reason.String(), "count: 10 of 10 points in 30d, offence 1, step 1"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestLadders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		user   string
		others byte // networks that fail on the name besides
		want   []string
	}{
		{"root", 9, []string{"1h", "4h", "1d", "4d", "16d", "30d", "30d"}},
		{"oracle", 2, []string{"1h", "1d", "7d", "30d", "30d"}},
		{"oracle", 3, []string{"30d", "30d"}},
	} {
		s := newScene()
		var got []string
		for round := range c.want {
			for net := range c.others {
				s.fail(addr4(20, net, byte(round), 1), c.user, c.user != "root")
			}
			for s.fail(addr4(192, 0, 2, 1), c.user, c.user != "root") == 0 {
				s.wait(time.Minute)
			}
			got = append(got, text.Span(s.bans[len(s.bans)-1].Duration))
			s.wait(20 * day)
			s.Release(netip.MustParsePrefix("192.0.2.1/32"))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s in %d networks besides (-want +got):\n%s", c.user, c.others, diff)
		}
		s.wait(61 * day)
		s.bans = nil
		for s.fail(addr4(192, 0, 2, 1), "root", false) == 0 {
			s.wait(time.Minute)
		}
		s.wants(t, "192.0.2.1/32 1h")
	}
}

func TestRegionShortensNameBans(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.login(addr4(192, 0, 99, 1), "alice", "password", 0)
	for net := range byte(3) {
		s.fail(addr4(20, net, 0, 1), "pi", true)
	}
	s.fail(addr4(192, 0, 2, 1), "pi", true)
	s.fail(addr4(198, 51, 100, 1), "pi", true)
	s.wants(t, "20.2.0.1/32 1h", "192.0.2.1/32 1h", "198.51.100.1/32 30d")
}

func TestLockedAccountIsEvidence(t *testing.T) {
	t.Parallel()
	for _, locked := range [][]string{nil, {"root"}} {
		s := newScene()
		s.SetAccounts([]string{"root", "alice"}, locked)
		s.fail(addr4(203, 0, 113, 1), "root", false)
		s.fail(addr4(20, 0, 0, 1), "root", false)
		s.fail(addr4(198, 51, 100, 1), "root", false)
		if len(s.bans) != len(locked) {
			t.Errorf("locked %q: banned %v", locked, s.banned())
		}
		if got := len(s.Names(s.now)); got != len(locked) {
			t.Errorf("locked %q: %d attack names", locked, got)
		}
		// A service that refuses the name outright calls it unknown.
		s.fail(addr4(20, 1, 0, 1), "root", true)
		if len(s.bans) != 2*len(locked) {
			t.Errorf("locked %q and refused: banned %v", locked, s.banned())
		}
		s.login(addr4(192, 0, 2, 1), "root", "password", 0) // who can after all is an owner
		s.bans = nil
		s.fail(addr4(203, 0, 113, 9), "root", false)
		s.fail(addr4(203, 0, 113, 10), "root", true)
		s.wants(t)
	}
}

func TestForgetAndExpire(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.set(func(cfg *Config) { cfg.StrangerRetry = 0 })
	for range 5 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
	}
	s.Release(netip.MustParsePrefix("192.0.2.1/32"))
	for range 4 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
		s.fail(addr4(192, 0, 2, 2), "root", false)
	}
	want := []jail.Host{{Prefix: netip.MustParsePrefix("192.0.2.2/32"), Failures: 4, First: s.now, Last: s.now}}
	if diff := cmp.Diff(want, hostsOf(s)[1:], cmpPrefix); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if got := hostsOf(s); len(got) != 2 || got[0].Prefix.String() != "192.0.2.1/32" {
		t.Errorf("the first host is %v", got)
	}
	s.Forget(netip.MustParsePrefix("192.0.2.1/32"))
	if got := s.Failing(); got != 1 {
		t.Errorf("%d addresses have points after one was forgotten, want 1", got)
	}
	s.bans = nil
	for range 5 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
	}
	s.wants(t, "192.0.2.1/32 1h") // a first offence again
	s.Expire(s.now.Add(29 * day))
	if got := s.Failing(); got != 1 {
		t.Errorf("%d addresses after 29 days, want 1", got)
	}
	s.Expire(s.now.Add(31 * day))
	if got := s.Failing(); got != 0 {
		t.Errorf("%d addresses after 31 days, want 0", got)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.login(addr4(192, 0, 2, 77), "alice", "publickey", 0)
	bad := "\x1b[31m\n" + strings.Repeat("x", 300)
	s.fail(addr4(192, 0, 2, 1), bad, true)
	s.fail(addr4(20, 0, 0, 1), bad, true)
	s.fail(addr4(203, 0, 113, 1), bad, true)
	s.Release(netip.MustParsePrefix("203.0.113.1/32"))
	s.wait(time.Hour)
	s.fail(addr4(203, 0, 113, 1), "pi", true)
	got := map[string][]string{
		"192.0.2.1":   s.Explain(addr4(192, 0, 2, 1), s.now),
		"203.0.113.1": s.Explain(addr4(203, 0, 113, 1), s.now),
		"8.8.8.8":     s.Explain(addr4(8, 8, 8, 8), s.now),
	}
	s.SetAccounts([]string{"root", "alice", "jsmith"}, []string{"root"})
	for net := range byte(5) {
		s.fail(addr4(20, 10+net, 0, 1), "jsmith", false)
		s.fail(addr4(20, 10+net, 0, 1), "root", false)
	}
	s.fail(addr4(20, 10, 0, 2), "pi", true)
	got["20.10.0.1"] = s.Explain(addr4(20, 10, 0, 1), s.now)
	clipped := `"\x1b[31m\n` + strings.Repeat("x", 58) + `"`
	want := map[string][]string{
		"192.0.2.1": {
			"points: 0.2 of 5 in 1d", "points: 0.2 of 10 in 30d",
			"name: " + clipped + ", on which 3 networks failed within 30d",
			"known: it or a neighbour logged in within 30d; its points count 0.2 times",
			"region: somebody around it logged in within 30d; attack names ban it no longer than points do",
		},
		"203.0.113.1": {
			"points: 1 of 2 in 1d, since somebody in its network was banned", "points: 1 of 10 in 30d",
			"offences: 1, the last 1h ago; the next bans for 4h by points, 1d by an attack name, 30d by one of 4 networks",
			"prefix: 1 address in 203.0.113.0/24 banned within 30d; 3 ban it all",
			"name: " + clipped + ", on which 3 networks failed within 30d",
			"names: tried within 30d that are no attack names: 1",
		},
		"8.8.8.8": nil,
		"20.10.0.1": {
			"points: 2 of 5 in 1d", "points: 2 of 10 in 30d",
			"network: 3 of 40 points in 1d by all addresses of 20.10.0.0/24", "network: 3 of 80 points in 30d by all addresses of 20.10.0.0/24",
			`name: "root", on which 5 networks failed within 30d by refused passwords`,
			`siege: "jsmith", on which 5 networks failed within 7d by refused passwords; a stranger's counts 2.5 points, a key or no password one`,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !s.ForgetName("pi") || s.ForgetName("pi") {
		t.Error("a learned name is forgotten once")
	}
}

// Times that are far off count for nothing once the clock is right again.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	s := newScene()
	right := s.now
	s.now = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 4 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
	}
	s.login(addr4(192, 0, 2, 9), "alice", "password", 0)
	s.now = right
	for range 4 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
	}
	s.wants(t)
	s.fail(addr4(192, 0, 2, 1), "root", false)
	s.wants(t, "192.0.2.1/32 1h")
}

func TestNearMiss(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"alice", "alice", true},
		{"alice", "alic", true},
		{"alice", "lice", true},
		{"alice", "alxice", true},
		{"alice", "alixe", true},
		{"alice", "alcie", true},
		{"alice", "alice.smith", true},
		{"bob", "bobby", false},
		{"alice", "alcei", false},
		{"alice", "malicex", false},
		{"", "a", true},
		{"", "ab", false},
		{"ab", "ba", true},
		{"ab", "cd", false},
	} {
		if nearMiss(c.a, c.b) != c.want || nearMiss(c.b, c.a) != c.want {
			t.Errorf("%q and %q: near %v, want %v", c.a, c.b, !c.want, c.want)
		}
	}
}
