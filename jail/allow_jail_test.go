package jail

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"exile/journal"
)

// silent is a filter to which no line means anything: the tests below bring attempts of their own.
type silent struct{}

func (silent) Parse([]byte) Event { return Event{} }

func protecting(t *testing.T, allow Allow) *Jail {
	t.Helper()
	j, err := New(Config{
		Name: "sshd", Detection: Threshold, MaxRetry: 4, FindTime: time.Hour, BanTime: time.Hour,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000, TrustLogins: 24 * time.Hour,
	}, silent{}, allow, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

var noon = time.Unix(1_700_000_000, 0)

// guess lets addr guess n times and counts the bans and the protections.
func guess(j *Jail, addr string, n int) (bans []netip.Prefix, protected []string) {
	for range n {
		for _, d := range j.ObserveAttempt(Attempt{Time: noon, Addr: netip.MustParseAddr(addr), Guesses: 1}) {
			if d.Protected == "" {
				bans = append(bans, d.Prefix)
			} else {
				protected = append(protected, d.Protected)
			}
		}
	}
	return bans, protected
}

func TestConnectedIsNeverBanned(t *testing.T) {
	t.Parallel()
	j := protecting(t, nil)
	addr := netip.MustParseAddr("192.0.2.1")
	j.Sessions().Open(journal.ID{1}, 10, "", addr, noon)
	bans, protected := guess(j, "192.0.2.1", 50)
	if len(bans) != 0 || len(protected) != 12 || protected[0] != "live session" { // 50 / 4
		t.Errorf("bans %v, protected %v", bans, protected)
	}
	if bans, _ := guess(j, "192.0.2.2", 4); len(bans) != 1 {
		t.Errorf("another address: bans %v", bans)
	}
	j.sessions.Observe(Event{Kind: End}, &journal.Entry{Time: noon, Boot: journal.ID{1}, PID: 10})
	if bans, _ := guess(j, "192.0.2.1", 4); len(bans) != 1 {
		t.Errorf("after its session: bans %v", bans)
	}
}

func TestKeyLoginMayGuessThreeTimesAsOften(t *testing.T) {
	t.Parallel()
	j := protecting(t, nil)
	addr := netip.MustParseAddr("192.0.2.1")
	e := &journal.Entry{Time: noon.Add(-time.Hour), PID: 10}
	j.sessions.Observe(Event{Kind: Success, Addr: addr, Port: 1, Method: "publickey"}, e)
	j.sessions.Observe(Event{Kind: End}, e)
	if bans, protected := guess(j, "192.0.2.1", 11); len(bans) != 0 || len(protected) != 2 { // at 4 and 8
		t.Errorf("11 guesses: bans %v, protected %v", bans, protected)
	}
	if bans, _ := guess(j, "192.0.2.1", 1); len(bans) != 1 {
		t.Errorf("the twelfth: bans %v", bans)
	}
}

// An attacker shares a /64 with somebody who is protected: the attacker's address is banned, and nothing around it.
func TestBanIsNarrowedAroundFriends(t *testing.T) {
	t.Parallel()
	for name, protect := range map[string]func(t *testing.T) *Jail{
		"ignoreip": func(t *testing.T) *Jail { return protecting(t, friends("2001:db8::a/128")) },
		"live session": func(t *testing.T) *Jail {
			j := protecting(t, nil)
			j.Sessions().Open(journal.ID{1}, 10, "", netip.MustParseAddr("2001:db8::a"), noon)
			return j
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := protect(t)
			bans, _ := guess(j, "2001:db8::b", 4)
			if len(bans) != 1 || bans[0] != netip.MustParsePrefix("2001:db8::b/128") {
				t.Errorf("bans %v", bans)
			}
			if bans, _ := guess(j, "2001:db8::a", 9); len(bans) != 0 {
				t.Errorf("the friend: bans %v", bans)
			}
			bans, _ = guess(j, "2001:db8:1::b", 4)
			if len(bans) != 1 || bans[0] != netip.MustParsePrefix("2001:db8:1::/64") {
				t.Errorf("elsewhere: bans %v", bans)
			}
		})
	}
}

// Behind NAT64 all of IPv4 shares one /64, and on a link all neighbours do: one attacker must not have everybody banned, the
// router that says where the host is among them.
func TestBanIsNarrowedWhereStrangersShareAPrefix(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"64:ff9b::192.0.2.1", "fe80::1"} {
		bans, _ := guess(protecting(t, nil), addr, 5)
		if len(bans) != 1 || bans[0] != netip.PrefixFrom(netip.MustParseAddr(addr), 128) {
			t.Errorf("%s: bans %v", addr, bans)
		}
	}
}

// Somebody with an account who opens session after session ends nobody else's protection: not from one /64, not from many
// networks, and not where the account is shared.
func TestManySessionsOfOneAreNotThoseOfOthers(t *testing.T) {
	t.Parallel()
	many := func(format string) (addrs []netip.Addr) {
		for i := range 2 * maxSessions {
			addrs = append(addrs, netip.MustParseAddr(fmt.Sprintf(format, i)))
		}
		return addrs
	}
	for name, c := range map[string]struct {
		user  string
		addrs []netip.Addr
	}{
		"addresses of a /64": {"mallory", many("2001:db8::%x")},
		"a /64 each":         {"mallory", many("2001:db8:0:%x::1")},
		"addresses of a /64, with a shared account": {"alice", many("2001:db8::%x")},
		"addresses of a /64, no user is named":      {"", many("2001:db8::%x")},
	} {
		s, owner := NewSessions(time.Hour, nil), netip.MustParseAddr("192.0.2.1")
		login := func(pid int32, user string, addr netip.Addr) {
			ev := Event{Kind: Success, Addr: addr, Port: 1000, User: []byte(user), Method: "publickey"}
			s.Observe(ev, &journal.Entry{Time: noon, Boot: journal.ID{1}, PID: pid})
		}
		login(1, "alice", owner)
		for i, addr := range c.addrs {
			login(int32(2+i), c.user, addr)
		}
		if who, _ := s.stands(owner, "alice", noon); who != excused || s.open.Len() != maxSessions {
			t.Errorf("%s: the owner's session is known: %t; %d sessions are known, want %d", name, who == excused, s.open.Len(), maxSessions)
		}
		for i := range int32(maxKeys) {
			login(2, c.user, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}))
		}
		if !s.Trusted(owner, noon) || s.keys.Len() != maxKeys {
			t.Errorf("%s: the owner's key is known: %t; %d are known, want %d", name, s.Trusted(owner, noon), s.keys.Len(), maxKeys)
		}
	}
}
