package jail

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"exile/journal"
)

func friends(words ...string) *Friends {
	var list []Friend
	for _, w := range words {
		p := netip.MustParsePrefix(w)
		list = append(list, Friend{p, "ignoreip " + w})
	}
	return NewFriends(list)
}

func TestFriends(t *testing.T) {
	t.Parallel()
	f := friends("192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32", "203.0.113.4/32")
	for addr, want := range map[string]string{
		"192.0.2.1":          "ignoreip 192.0.2.0/24",
		"192.0.2.7":          "ignoreip 192.0.2.7/32", // the narrowest
		"::ffff:192.0.2.1":   "ignoreip 192.0.2.0/24",
		"192.0.3.1":          "",
		"2001:db8:ffff::1":   "ignoreip 2001:db8::/32",
		"2001:db8::1%eth0":   "ignoreip 2001:db8::/32",
		"2001:db9::1":        "",
		"127.9.9.9":          "loopback",
		"::1":                "loopback",
		"203.0.113.4":        "ignoreip 203.0.113.4/32",
		"203.0.113.5":        "",
		"::203.0.113.4":      "", // not the mapped form: another address
		"64:ff9b::192.0.2.1": "",
	} {
		if got, ok := f.Allowed(netip.MustParseAddr(addr), time.Time{}); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", addr, got, ok, want)
		}
	}
	for prefix, want := range map[string]string{
		"192.0.2.1/32":     "ignoreip 192.0.2.0/24", // inside
		"192.0.0.0/16":     "ignoreip 192.0.2.0/24", // around
		"192.0.3.0/24":     "",
		"2001:db8::/64":    "ignoreip 2001:db8::/32",
		"203.0.113.0/24":   "ignoreip 203.0.113.4/32",
		"203.0.113.128/25": "",
	} {
		if got, ok := f.Touches(netip.MustParsePrefix(prefix)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", prefix, got, ok, want)
		}
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	boot, reboot := journal.ID{1}, journal.ID{2}
	admin, other := netip.MustParseAddr("2001:db8::a"), netip.MustParseAddr("2001:db8::b")
	login := func(addr netip.Addr, port uint16, method string) Event {
		return Event{Kind: Success, Addr: addr, Port: port, Method: method}
	}
	end := func(addr netip.Addr, port uint16) Event { return Event{Kind: End, Addr: addr, Port: port} }
	type step struct {
		ev   Event
		boot journal.ID
		pid  int32
	}
	for _, c := range []struct {
		name          string
		steps         []step
		after         time.Duration
		live, trusted bool
	}{
		{"nobody", nil, 0, false, false},
		{"password", []step{{login(admin, 1000, "password"), boot, 10}}, 0, true, false},
		{"key", []step{{login(admin, 1000, "publickey"), boot, 10}}, 0, true, true},
		{"another's key", []step{{login(other, 1000, "publickey"), boot, 10}}, 0, false, false},
		{"closed, by PID", []step{{login(admin, 1000, "publickey"), boot, 10}, {end(netip.Addr{}, 0), boot, 10}}, 0, false, true},
		{"closed, by address from another PID", []step{{login(admin, 1000, "publickey"), boot, 10}, {end(admin, 1000), boot, 11}}, 0, false, true},
		{"another's end", []step{{login(admin, 1000, "publickey"), boot, 10}, {end(admin, 1001), boot, 10}, {end(netip.Addr{}, 0), boot, 12}}, 0, true, true},
		{"one of two ended", []step{{login(admin, 1000, "publickey"), boot, 10}, {login(admin, 1001, "publickey"), boot, 20}, {end(netip.Addr{}, 0), boot, 10}}, 0, true, true},
		{"its PID is used again", []step{{login(admin, 1000, "password"), boot, 10}, {login(other, 1000, "password"), boot, 10}}, 0, false, false},
		{"reboot", []step{{login(admin, 1000, "password"), boot, 10}, {login(other, 1000, "password"), reboot, 11}}, 0, false, false},
		{"just a day later", []step{{login(admin, 1000, "publickey"), boot, 10}}, 24 * time.Hour, true, true},
		{"more than a day later", []step{{login(admin, 1000, "publickey"), boot, 10}}, 24*time.Hour + time.Microsecond, true, false},
		{"its end was never logged", []step{{login(admin, 1000, "publickey"), boot, 10}}, 8 * 24 * time.Hour, false, false},
		{"a login of a service that logs no end", []step{{brief(login(admin, 1000, "password")), boot, 10}}, 0, false, false},
		{"a login without address", []step{{login(netip.Addr{}, 0, "publickey"), boot, 10}}, 0, false, false},
	} {
		s := NewSessions(24*time.Hour, nil)
		for _, st := range c.steps {
			s.Observe(st.ev, &journal.Entry{Time: start, Boot: st.boot, PID: st.pid})
		}
		at := start.Add(c.after)
		who, _ := s.stands(admin, "", at)
		live := who != stranger
		if trusted := s.Trusted(admin, at); live != c.live || trusted != c.trusted {
			t.Errorf("%s: live %v, trusted %v", c.name, live, trusted)
		}
		if _, hit := s.Touches(netip.MustParsePrefix("2001:db8::a/128"), at); hit != c.live {
			t.Errorf("%s: a ban would hit: %v", c.name, hit)
		}
	}
}

// brief is the same login at a service that logs no ends.
func brief(ev Event) Event {
	ev.Brief = true
	return ev
}

func TestSessionsFromElsewhere(t *testing.T) {
	t.Parallel()
	s, now, addr := NewSessions(0, nil), time.Unix(1_700_000_000, 0), netip.MustParseAddr("192.0.2.1")
	s.Open(journal.ID{1}, 10, "", netip.MustParseAddr("::ffff:192.0.2.1"), now)
	if who, _ := s.stands(addr, "", now); who != guest {
		t.Error("a session that was there before is not known")
	}
	s.Observe(Event{Kind: End, Addr: addr, Port: 5}, &journal.Entry{Time: now, Boot: journal.ID{1}, PID: 11})
	if who, _ := s.stands(addr, "", now); who != guest {
		t.Error("the end of another session of that address ended it")
	}
	s.Observe(Event{Kind: End}, &journal.Entry{Time: now, Boot: journal.ID{1}, PID: 10})
	if who, _ := s.stands(addr, "", now); who != stranger {
		t.Error("its end was not seen")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	s := NewSessions(time.Hour, nil)
	for i := range int32(maxKeys + 10) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 1<<24+uint32(i))
		ev := Event{Kind: Success, Addr: netip.AddrFrom4(a), Port: 1, Method: "publickey"}
		s.Observe(ev, &journal.Entry{PID: i + 1})
	}
	if s.open.Len() != maxSessions || s.keys.Len() != maxKeys || len(s.hosts) != maxSessions {
		t.Errorf("%d sessions from %d addresses, %d keys", s.open.Len(), len(s.hosts), s.keys.Len())
	}
}

func hundredThousand() *Friends {
	list := make([]Friend, 100_000)
	for i := range list {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(i)<<12+1)
		p := netip.PrefixFrom(netip.AddrFrom4(a), 24+i%9).Masked()
		list[i] = Friend{p, fmt.Sprint("ignoreip ", p)}
	}
	return NewFriends(list)
}

func TestFriendsAllocateNothing(t *testing.T) {
	f, addr := hundredThousand(), netip.MustParseAddr("1.2.3.4")
	if n := testing.AllocsPerRun(100, func() { f.Allowed(addr, time.Time{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFriends100k(b *testing.B) {
	f := hundredThousand()
	i := uint32(0)
	for b.Loop() {
		i += 2654435761 // all over the address space
		f.Allowed(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), time.Time{})
	}
}
