package adaptive

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A campaign of one guess per address is stopped at its third network on each name.
func TestDistributedCampaign(t *testing.T) {
	t.Parallel()
	s := newScene()
	passed := 0
	for i := range 5000 {
		passed += 1 - min(s.fail(addr4(byte(20+i/250), byte(i%250), byte(i%7), 9), fmt.Sprintf("service%d", i%50), true), 1)
		s.wait(time.Minute)
	}
	if passed != 100 {
		t.Errorf("%d addresses of 5000 were not banned at their first guess, want 100: the first two on each name", passed)
	}
	if got := s.Names(s.now); len(got) != 50 || got[0].Hosts != maxCounted {
		t.Errorf("%d attack names, the first of %d networks; want 50 of %d", len(got), got[0].Hosts, maxCounted)
	}
}

func TestOneGuessADay(t *testing.T) {
	t.Parallel()
	s := newScene()
	for range 100 {
		s.fail(addr4(192, 0, 2, 1), "root", false)
		s.wait(day + time.Minute)
	}
	// Ten guesses for each ban; the fourth and fifth take 3 and 15 days besides, and the sixth is still to come.
	s.wants(t, "192.0.2.1/32 1h", "192.0.2.1/32 4h", "192.0.2.1/32 1d", "192.0.2.1/32 4d", "192.0.2.1/32 16d", "192.0.2.1/32 30d")
}

// While an address is banned nothing of it counts, as if it had been stopped: what was under way, or is read from before
// the daemon was there, makes neither points nor offences nor names.
func TestTheBannedCountNoMore(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.fail(addr4(20, 0, 0, 1), "oracle", true)
	bad := addr4(192, 0, 2, 1)
	for range 600 {
		s.fail(bad, "root", false)
		s.fail(bad, "oracle", true)
		s.wait(time.Second)
	}
	s.wants(t, "192.0.2.1/32 1h")
	s.wait(time.Hour)
	for range 5 {
		s.fail(bad, "root", false)
	}
	s.wants(t, "192.0.2.1/32 1h", "192.0.2.1/32 4h")
	s.fail(addr4(198, 51, 100, 1), "oracle", true)
	s.wants(t, "192.0.2.1/32 1h", "192.0.2.1/32 4h", "198.51.100.1/32 1h") // it was tried before the ban
	for range 5 {
		s.fail(bad, "root", false)
	}
	s.Release(netip.PrefixFrom(bad, 32))
	for range 5 {
		s.fail(bad, "root", false)
	}
	s.wants(t, "192.0.2.1/32 1h", "192.0.2.1/32 4h", "198.51.100.1/32 1h", "192.0.2.1/32 1d")
}

// Poisoners try the slips of an owner's name; the owner's own slip is still no evidence.
func TestPoisonedNames(t *testing.T) {
	t.Parallel()
	s := newScene()
	for i, slip := range []string{"jsmiht", "jsmit", "jsmithh", "jsmitt", "jsmi"} {
		for j := range 4 {
			s.fail(addr4(200+byte(j), byte(i), 0, 1), slip, true)
		}
	}
	for _, slip := range []string{"jsmiht", "jsmit", "jsmithh", "jsmitt"} {
		s.fail(addr4(192, 0, 2, 1), slip, true)
	}
	s.wants(t)
	for net := range byte(3) {
		s.fail(addr4(20, net, 0, 1), "gsmyth", true)
	}
	s.wants(t, "20.2.0.1/32 1h")
}

// An owner mistypes six times from a new network: five points are an hour. From home it takes twenty-five.
func TestOwnerMistypes(t *testing.T) {
	t.Parallel()
	s := newScene()
	home, away := addr4(192, 0, 2, 1), addr4(198, 51, 100, 1)
	s.login(home, "alice", "password", 0)
	for range 6 {
		s.fail(away, "alice", false)
		s.wait(time.Minute)
	}
	s.wants(t, "198.51.100.1/32 1h")
	for range 24 {
		s.fail(home, "alice", false)
		s.wait(time.Minute)
	}
	s.wants(t, "198.51.100.1/32 1h")
	if s.fail(home, "alice", false) != 1 || !strings.Contains(s.bans[1].Reason.String(), "known neighbour") {
		t.Errorf("the 25th wrong password from home: %+v", s.bans)
	}
}

// Six slips from a new network in one connection that then logs in are forgiven.
func TestLoginForgivesItsConnection(t *testing.T) {
	t.Parallel()
	s := newScene()
	away := addr4(198, 51, 100, 1)
	for range 20 {
		for range 3 {
			s.fail(away, "root", false)
		}
		s.login(away, "root", "publickey", 3)
		s.wait(time.Hour)
	}
	s.wants(t)
	if n := s.Failing(); n != 0 {
		t.Errorf("%d addresses still have points", n)
	}
	s.fail(away, "root", false)
	s.login(away, "root", "publickey", 99)
	s.login(addr4(8, 8, 8, 8), "root", "publickey", 99)
	s.wants(t)
}

// A monitor comes every minute, is refused once and then logs in on the same connection.
func TestMonitor(t *testing.T) {
	t.Parallel()
	s := newScene()
	for range 30 * 24 * 60 {
		s.fail(addr4(192, 0, 2, 1), "monitor", false)
		s.login(addr4(192, 0, 2, 1), "monitor", "publickey", 1)
		s.wait(time.Minute)
	}
	s.wants(t)
}

func TestWiden(t *testing.T) {
	t.Parallel()
	type ban struct {
		net48, net64 uint16
	}
	for _, c := range []struct {
		name string
		v6   []ban
		want []string // besides the bans of addresses
	}{
		{"three /64 of a /56", []ban{{1, 1}, {1, 2}, {1, 3}}, []string{"2001:db8:1::/56 1h"}},
		{"three /64 of a /48", []ban{{1, 0x100}, {1, 0x200}, {1, 0x300}}, []string{"2001:db8:1::/48 1h"}},
		{"three /64 of three /48", []ban{{1, 1}, {2, 1}, {3, 1}}, nil},
		{"the same /64 thrice", []ban{{1, 1}, {1, 1}, {1, 1}}, nil},
		{
			"a /56 is one of the /48",
			[]ban{{1, 1}, {1, 2}, {1, 3}, {1, 0x200}, {1, 0x300}},
			[]string{"2001:db8:1::/56 1h", "2001:db8:1::/48 1h"},
		},
	} {
		s := newScene()
		for _, b := range c.v6 {
			for range 5 {
				s.fail(addr6(b.net48, b.net64), "root", false)
				s.wait(time.Minute)
			}
		}
		var got []string
		for i, v := range s.bans {
			if v.Prefix.Bits() != 64 {
				got = append(got, s.banned()[i])
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Rotation inside a /64 is one address.
func TestRotationInsideOneNetwork(t *testing.T) {
	t.Parallel()
	s := newScene()
	b := addr6(1, 1).As16()
	for i := range byte(5) {
		b[15], b[9] = i, i
		s.fail(netip.AddrFrom16(b), "root", false)
	}
	s.wants(t, "2001:db8:1:1::/64 1h")
}

func TestNobodyWidensOverAnOwner(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.login(addr4(192, 0, 2, 200), "alice", "password", 0)
	s.login(addr6(1, 0x500), "alice", "password", 0)
	s.wait(40 * day) // known no more, but not forgotten
	for i := range byte(6) {
		for range 5 {
			s.fail(addr4(192, 0, 2, i), "root", false)
			s.fail(addr6(1, uint16(i)), "root", false)
		}
	}
	for _, v := range s.bans {
		if v.Prefix.Bits() != 32 && v.Prefix.Bits() != 64 {
			t.Errorf("banned %v, from which somebody logged in", v.Prefix)
		}
	}
	if len(s.bans) != 12 {
		t.Errorf("%d bans, want 12", len(s.bans))
	}
}

func TestWideLadder(t *testing.T) {
	t.Parallel()
	s := newScene()
	for i := range byte(6) {
		for range 5 {
			s.fail(addr4(192, 0, 2, i), "root", false)
		}
		s.wait(time.Hour)
		s.Release(netip.MustParsePrefix("192.0.2.0/24")) // or nobody in it would count
	}
	var got []string
	for i, v := range s.bans {
		if v.Prefix.Bits() == 24 {
			got = append(got, s.banned()[i])
		}
	}
	want := []string{"192.0.2.0/24 1h", "192.0.2.0/24 1d", "192.0.2.0/24 7d", "192.0.2.0/24 30d"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bans of the /24 (-want +got):\n%s", diff)
	}
}
