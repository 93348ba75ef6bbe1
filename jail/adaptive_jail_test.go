package jail_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
	"exile/jail/filter"
)

// newAdaptiveJail is the shipped jail: sshd's lines, the adaptive detector.
func newAdaptiveJail(t *testing.T) *jail.Jail {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := tutorial()
	cfg.Detection = jail.Adaptive
	j, err := jail.New(cfg, f, nil, jail.NewAdaptive(jail.DefaultAdaptive()))
	if err != nil {
		t.Fatal(err)
	}
	return j
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
	for _, d := range j.Observe(entry(time.Minute, 8, `Invalid user ora"cle from 198.51.100.7 port 4000`)) {
		d.Evidence = nil
		got = append(got, d)
	}
	want := []jail.Decision{{
		Jail: "sshd", Prefix: netip.MustParsePrefix("198.51.100.7/32"), At: start.Add(time.Minute), Until: start.Add(time.Minute + time.Hour),
		Failures: 1, Offence: 1, Reason: jail.Reason{
			Kind: jail.ByName, Name: `ora"cle`, Count: 3, Points: 500, Limit: 500, Span: 24 * time.Hour, Offence: 1, Step: 1,
		},
	}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
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
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	friend := jail.NewFriends([]jail.Friend{{Prefix: netip.MustParsePrefix("192.0.2.200/32"), Why: "ignoreip 192.0.2.200"}})
	cfg := tutorial()
	cfg.Detection = jail.Adaptive
	j, err := jail.New(cfg, f, friend, jail.NewAdaptive(jail.DefaultAdaptive()))
	if err != nil {
		t.Fatal(err)
	}
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
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	friend := jail.NewFriends([]jail.Friend{{Prefix: netip.MustParsePrefix("192.0.2.200/32"), Why: "ignoreip 192.0.2.200"}})
	cfg := tutorial()
	cfg.Detection = jail.Adaptive
	j, err := jail.New(cfg, f, friend, jail.NewAdaptive(jail.DefaultAdaptive()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range 120 {
		a := jail.Attempt{Time: start.Add(time.Duration(i) * time.Second), Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), User: "root", Guesses: 1}
		for _, d := range j.ObserveAttempt(a) {
			got = append(got, fmt.Sprintf("%v %v offence %d", d.Prefix, d.Until.Sub(d.At), d.Offence))
		}
	}
	want := []string{"192.0.2.39/32 1h0m0s offence 1", "192.0.2.79/32 1h0m0s offence 1", "192.0.2.119/32 1h0m0s offence 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("banned (-want +got):\n%s", diff)
	}
}

// An address with a login by key may guess three times as often as others in the adaptive window, and no more.
func TestAdaptiveJailTrustsLoginsForADay(t *testing.T) {
	t.Parallel()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := tutorial()
	cfg.Detection, cfg.Adaptive, cfg.TrustLogins = jail.Adaptive, jail.DefaultAdaptive(), 24*time.Hour
	j, err := jail.New(cfg, f, nil, jail.NewAdaptive(cfg.Adaptive))
	if err != nil {
		t.Fatal(err)
	}
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
