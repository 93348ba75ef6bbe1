package adaptive_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
	"exile/jail/adaptive"
	"exile/jail/filter"
	"exile/journal"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func tutorial() jail.Config {
	return jail.Config{
		Name: "sshd", Detection: jail.Threshold, MaxRetry: 4, FindTime: 10 * time.Minute, BanTime: time.Hour,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000,
	}
}

func entry(at time.Duration, pid int32, message string) *journal.Entry {
	return &journal.Entry{
		Time: start.Add(at), PID: pid, Message: []byte(message), Identifier: "sshd", Transport: "syslog",
		Position: journal.Position{SeqnumID: journal.ID{1}, Seqnum: uint64(at/time.Second) + 1},
	}
}

// newAdaptiveJail is the shipped jail, sshd's lines and the adaptive detector, which never bans these addresses.
func newAdaptiveJail(t *testing.T, friends ...string) *jail.Jail {
	t.Helper()
	return newJail(t, tutorial(), friends...)
}

func newJail(t *testing.T, cfg jail.Config, friends ...string) *jail.Jail {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var never []jail.Friend
	for _, p := range friends {
		never = append(never, jail.Friend{Prefix: netip.MustParsePrefix(p), Why: "ignoreip " + p})
	}
	cfg.Detection = jail.Adaptive
	j, err := jail.New(cfg, f, jail.NewFriends(never), adaptive.New(adaptive.Default()))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// guessesEachSecond has each address guess once, a second apart, and returns who was banned for how long.
func guessesEachSecond(j *jail.Jail, n int, from func(i int) netip.Addr) (banned []string) {
	for i := range n {
		a := jail.Attempt{Time: start.Add(time.Duration(i) * time.Second), Addr: from(i), User: "root", Guesses: 1}
		for _, d := range j.ObserveAttempt(a) {
			banned = append(banned, fmt.Sprintf("%v %v offence %d", d.Prefix, d.Until.Sub(d.At), d.Offence))
		}
	}
	return banned
}

// The third network that tries a name which the host does not have is banned at once, for an hour.
func TestAdaptiveJailBansByName(t *testing.T) {
	t.Parallel()
	j := newAdaptiveJail(t)
	for i, from := range []string{"192.0.2.10", "203.0.113.10"} {
		if d := j.Observe(entry(0, int32(6+i), `Invalid user ora"cle from `+from+` port 4000`)); len(d) != 0 {
			t.Fatalf("%s: decided %v", from, d)
		}
	}
	var got []jail.Decision
	var why []string
	for _, d := range j.Observe(entry(time.Minute, 8, `Invalid user ora"cle from 198.51.100.7 port 4000`)) {
		why = append(why, d.Reason.String())
		d.Evidence, d.Reason = nil, jail.Reason{}
		got = append(got, d)
	}
	want := []jail.Decision{{
		Jail: "sshd", Prefix: netip.MustParsePrefix("198.51.100.7/32"), At: start.Add(time.Minute), Until: start.Add(time.Minute + time.Hour),
		Failures: 1, Offence: 1,
	}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	if want := []string{`name: "ora\"cle", on which 3 networks failed, 5 of 5 points in 1d, offence 1, step 1`}; !slices.Equal(why, want) {
		t.Errorf("the reasons are %q, want %q", why, want)
	}
}

// Four slips in each of many connections that end in a login make no ban, for they are taken back.
func TestAdaptiveJailForgives(t *testing.T) {
	t.Parallel()
	j := newAdaptiveJail(t)
	for i := range 50 {
		at, pid := time.Duration(i)*time.Minute, int32(100+i)
		for range 4 {
			if d := j.Observe(entry(at, pid, "Failed password for alice from 192.0.2.10 port 4000 ssh2")); len(d) != 0 {
				t.Fatalf("connection %d: decided %v", i, d)
			}
		}
		j.Observe(entry(at, pid, "Accepted password for alice from 192.0.2.10 port 4000 ssh2"))
		if n := j.Failing(); n != 0 {
			t.Fatalf("connection %d: %d addresses still have points", i, n)
		}
		j.Observe(entry(at, pid, "Disconnected from user alice 192.0.2.10 port 4000")) // an open session alone would protect
	}
}

// Where somebody is protected in a network that would be banned, only the address is, and its neighbours still count.
func TestAdaptiveJailCountsBesideTheProtected(t *testing.T) {
	t.Parallel()
	j := newAdaptiveJail(t, "192.0.2.200/32")
	var got []string
	for host := range 5 {
		for range 5 {
			a := jail.Attempt{Time: start, Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(host)}), User: "root", Guesses: 1}
			for _, d := range j.ObserveAttempt(a) {
				got = append(got, d.Prefix.String())
			}
		}
	}
	want := []string{
		"192.0.2.0/32", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.3/32", "192.0.2.4/32", "192.0.2.4/32",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("banned (-want +got):\n%s", diff)
	}
}

// Where somebody is protected in a network whose addresses had too many points together, the one that came last is banned for an
// hour, however often that happens: it may have done no more than the others.
func TestAdaptiveJailSparesTheLastOfMany(t *testing.T) {
	t.Parallel()
	j := newAdaptiveJail(t, "192.0.2.200/32")
	got := guessesEachSecond(j, 120, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) })
	want := []string{"192.0.2.39/32 1h0m0s offence 1", "192.0.2.79/32 1h0m0s offence 1", "192.0.2.119/32 1h0m0s offence 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("banned (-want +got):\n%s", diff)
	}
}

// It is the same where a /56 had too many points and is the third banned of a /48 with somebody who is protected.
func TestAdaptiveJailSparesTheLastOfManyNetworks(t *testing.T) {
	t.Parallel()
	j := newAdaptiveJail(t, "2001:db8:1:ff00::1/128")
	got := guessesEachSecond(j, 5*20, func(i int) netip.Addr { // twenty /64 of a /56, and then of the next
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: 1, 6: byte(1 + i/20), 7: byte(i % 20), 15: 1})
	})
	want := []string{
		"2001:db8:1:100::/56 1h0m0s offence 1", "2001:db8:1:200::/56 1h0m0s offence 1",
		"2001:db8:1:313::1/128 1h0m0s offence 1", "2001:db8:1:413::1/128 1h0m0s offence 1", "2001:db8:1:513::1/128 1h0m0s offence 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("banned (-want +got):\n%s", diff)
	}
}

// An address with a login by key may guess three times as often as others in the adaptive window, and no more.
func TestAdaptiveJailTrustsLoginsForADay(t *testing.T) {
	t.Parallel()
	cfg := tutorial()
	cfg.TrustLogins = 24 * time.Hour
	j := newJail(t, cfg)
	j.Observe(entry(0, 1, "Accepted publickey for alice from 192.0.2.10 port 4000 ssh2: ED25519 SHA256:x"))
	j.Observe(entry(0, 1, "Disconnected from user alice 192.0.2.10 port 4000"))
	guesses := 0
	for banned := false; !banned && guesses < 100; guesses++ { // one every half an hour
		for _, d := range j.Observe(entry(time.Duration(guesses+1)*30*time.Minute, int32(2+guesses), "Failed password for root from 192.0.2.10 port 4000 ssh2")) {
			banned = banned || d.Protected == ""
		}
	}
	if guesses != 15 {
		t.Errorf("banned after %d guesses, want 15", guesses)
	}
}
