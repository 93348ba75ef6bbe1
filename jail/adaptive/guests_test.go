package adaptive

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"exile/jail"
	"exile/journal"
)

// In an adaptive jail both windows are three times as wide.
func TestGuestsOfAnAdaptiveJail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		every  time.Duration
		banned int
	}{"quickly": {time.Minute, 15}, "slowly": {2 * time.Hour, 30}} {
		j := newJail(t)
		j.SpareSessions(true)
		j.Sessions().Open(journal.ID{1}, 10, "alice", netip.MustParseAddr("192.0.2.1"), noon)
		for n := 1; ; n++ {
			a := jail.Attempt{Time: noon.Add(time.Duration(n) * c.every), Addr: netip.MustParseAddr("192.0.2.1"), User: "root", Guesses: 1}
			if slices.ContainsFunc(j.ObserveAttempt(a), func(d jail.Decision) bool { return d.Protected == "" }) {
				if n != c.banned {
					t.Errorf("%s: banned at guess %d, want %d", name, n, c.banned)
				}
				break
			}
			if n > 40 {
				t.Errorf("%s: not banned by %d guesses", name, n)
				break
			}
		}
	}
}

// Behind NAT64 all of IPv4 shares one /64, and on a link all neighbours do: one attacker must not have everybody banned,
// not even the router that tells the host where it is.
func TestStrangersOfOnePrefixAreBannedAlone(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"64:ff9b::192.0.2.1", "fe80::1"} {
		j, a := newJail(t), netip.MustParseAddr(addr)
		var bans []netip.Prefix
		for range 5 {
			for _, d := range j.ObserveAttempt(jail.Attempt{Time: noon, Addr: a, Guesses: 1}) {
				bans = append(bans, d.Prefix)
			}
		}
		if len(bans) != 1 || bans[0] != netip.PrefixFrom(a, 128) {
			t.Errorf("%s: bans %v", addr, bans)
		}
	}
}
