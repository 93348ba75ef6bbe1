package jail

import (
	"net/netip"
	"testing"
	"time"

	"exile/journal"
)

// withSessions is a jail of threshold 4 where alice, and root, who is an administrator, have a session each, and whose bans
// spare sessions.
func withSessions(t *testing.T, j *Jail) *Jail {
	t.Helper()
	j.SpareSessions(true)
	j.Sessions().SetAdmins([]string{"root"})
	for pid, s := range map[int32]struct{ user, addr string }{10: {"alice", "192.0.2.1"}, 11: {"root", "192.0.2.2"}, 12: {"alice", "2001:db8::a"}} {
		e := &journal.Entry{Time: noon, Boot: journal.ID{1}, PID: pid}
		j.sessions.Observe(Event{Kind: Success, Addr: netip.MustParseAddr(s.addr), Port: 1000, User: []byte(s.user)}, e)
	}
	return j
}

// guessFor lets addr guess n times for a name, a minute apart, and returns the decisions.
func guessFor(j *Jail, addr, name string, n int) (list []Decision) {
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Minute)
		list = append(list, j.ObserveAttempt(Attempt{Time: at, Addr: netip.MustParseAddr(addr), User: name, Guesses: 1})...)
	}
	return list
}

func bansAmong(list []Decision) (bans []Decision) {
	for _, d := range list {
		if d.Protected == "" {
			bans = append(bans, d)
		}
	}
	return bans
}

func TestSessionExcusesItsOwnName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		addr, user string
		banned     int // at which guess; 0: never
		prefix     string
	}{
		"her own name":                    {"192.0.2.1", "alice", 0, ""},
		"another name":                    {"192.0.2.1", "root", 12, "192.0.2.1/32"},
		"no name":                         {"192.0.2.1", "", 12, "192.0.2.1/32"},
		"another name, from an admin":     {"192.0.2.2", "alice", 0, ""},
		"her own name, beside her":        {"2001:db8::b", "alice", 4, "2001:db8::/64"},
		"another name, from a /64":        {"2001:db8::a", "root", 12, "2001:db8::/64"},
		"somebody without a session":      {"192.0.2.3", "alice", 4, "192.0.2.3/32"},
		"the name in other letters":       {"192.0.2.1", "Alice", 12, "192.0.2.1/32"},
		"an administrator from elsewhere": {"192.0.2.3", "root", 4, "192.0.2.3/32"},
	} {
		bans := bansAmong(guessFor(withSessions(t, protecting(t, nil)), c.addr, c.user, 20))
		if (c.banned > 0) != (len(bans) > 0) {
			t.Errorf("%s: bans %v, want one at guess %d", name, bans, c.banned)
			continue
		}
		if len(bans) == 0 {
			continue
		}
		at := int(bans[0].At.Sub(noon)/time.Minute) + 1
		if at != c.banned || bans[0].Prefix != netip.MustParsePrefix(c.prefix) {
			t.Errorf("%s: ban of %v at guess %d, want %s at %d", name, bans[0].Prefix, at, c.prefix, c.banned)
		}
	}
}

// The ban beside a session is short, and its text says what it is; that of a stranger is the jail's.
func TestGuestsAreBannedBriefly(t *testing.T) {
	t.Parallel()
	j := withSessions(t, protecting(t, nil))
	ban := bansAmong(guessFor(j, "192.0.2.1", "root", 12))[0]
	const why = "session: 12 failed logins for names that have no session from there, within 1h"
	if ban.Until != ban.At.Add(10*time.Minute) || ban.Reason.String() != why || !AmidSessions(why) || ban.Offence != 0 {
		t.Errorf("ban for %v, offence %d: %s", ban.Until.Sub(ban.At), ban.Offence, ban.Reason)
	}
	for offence, want := range []time.Duration{1: 10 * time.Minute, 2: time.Hour, 3: 4 * time.Hour, 4: 24 * time.Hour, 9: 24 * time.Hour} {
		if got := Capped(ban.Ladder, offence, Permanent); offence > 0 && want > 0 && got != want {
			t.Errorf("offence %d: %v, want %v", offence, got, want)
		}
	}
	if got := Capped(ban.Ladder, 3, time.Hour); got != time.Hour {
		t.Errorf("longer than a stranger: %v", got)
	}
	stranger := bansAmong(guessFor(j, "192.0.2.3", "root", 4))[0]
	if stranger.Until != stranger.At.Add(time.Hour) || stranger.Ladder != nil || AmidSessions(stranger.Reason.String()) {
		t.Errorf("a stranger is banned for %v: %s", stranger.Until.Sub(stranger.At), stranger.Reason)
	}
}

// Where a ban cannot spare them, the address of a session is not banned, and around it only the guilty.
func TestSessionsThatCannotBeSpared(t *testing.T) {
	t.Parallel()
	j := withSessions(t, protecting(t, nil))
	j.SpareSessions(false)
	if bans := bansAmong(guessFor(j, "192.0.2.1", "root", 50)); len(bans) > 0 {
		t.Errorf("bans %v", bans)
	}
	bans := bansAmong(guessFor(j, "2001:db8::b", "root", 4))
	if len(bans) != 1 || bans[0].Prefix != netip.MustParsePrefix("2001:db8::b/128") {
		t.Errorf("beside a session: bans %v", bans)
	}
}

// Ending the session and beginning another does not set the count back.
func TestGuestsWhoComeAndGo(t *testing.T) {
	t.Parallel()
	j := withSessions(t, protecting(t, nil))
	addr := netip.MustParseAddr("192.0.2.1")
	guesses := 0
	for pid := int32(100); ; pid++ {
		e := &journal.Entry{Time: noon, Boot: journal.ID{1}, PID: pid}
		j.Observe(e)
		j.sessions.Observe(Event{Kind: End, Addr: addr, Port: 1000}, e)
		j.sessions.Observe(Event{Kind: Success, Addr: addr, Port: 1000, User: []byte("alice")}, e)
		guesses++
		if len(bansAmong(guessFor(j, "192.0.2.1", "root", 1))) > 0 {
			break
		}
	}
	if guesses != 12 {
		t.Errorf("banned after %d guesses, want 12", guesses)
	}
}

// Guesses for unknown names may be passwords: they are no accounts.
func TestAccountOfADecision(t *testing.T) {
	t.Parallel()
	j := protecting(t, friends())
	for unknown, want := range map[bool]string{true: "", false: "root"} {
		j.Forget(netip.MustParsePrefix("127.0.0.1/32"))
		d := j.ObserveAttempt(Attempt{Time: noon, Addr: netip.MustParseAddr("127.0.0.1"), User: "root", Unknown: unknown, Guesses: 4})
		if len(d) != 1 || d[0].Protected != "loopback" || d[0].Account != want {
			t.Errorf("unknown %t: %+v, want account %q", unknown, d, want)
		}
	}
}
