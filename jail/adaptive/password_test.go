package adaptive_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exile/jail"
	"exile/jail/adaptive"
	"exile/jail/filter"
)

// On a name that exists only a refused password is evidence. Strangers come one after the other, each with the same lines, to
// an account that cannot log in by password (root) or that nobody uses (bob).
func TestOnlyPasswordsAreEvidence(t *testing.T) {
	t.Parallel()
	const (
		denied  = "User USER from ADDR not allowed because not listed in AllowUsers"
		refused = "Failed password for invalid user USER from ADDR port 1000 ssh2"
		failed  = "Failed password for USER from ADDR port 1000 ssh2"
		gaveUp  = "Connection closed by authenticating user USER ADDR port 1000 [preauth]"
		tooMany = "error: maximum authentication attempts exceeded for USER from ADDR port 1000 ssh2 [preauth]"
		key     = "Failed publickey for USER from ADDR port 1000 ssh2: ED25519 SHA256:a"
		farther = "Connection closed by invalid user USER ADDR port 1000 [preauth]"
	)
	for _, c := range []struct {
		name, user string
		before     []string // what each of six strangers does
		lines      []string // what the next does, again and again
		want       int      // times until it is banned
	}{
		{"passwords on a locked account", "root", []string{failed}, []string{failed}, 1},
		{"passwords on one that is not let in", "root", []string{denied, refused}, []string{denied, refused}, 1},
		{"an owner gives up after strangers' passwords", "root", []string{failed}, []string{gaveUp}, 5},
		{"an owner is not let in after strangers' passwords", "root", []string{failed}, []string{denied, farther}, 5},
		{"an owner offers keys after strangers' passwords", "root", []string{failed}, []string{key, tooMany}, 5},
		{"strangers who give up", "root", []string{gaveUp}, []string{failed}, 5},
		{"strangers who are not let in", "root", []string{denied, farther}, []string{denied, refused}, 5},
		{"strangers with keys", "root", []string{key, tooMany}, []string{failed}, 5},
		{"a siege", "bob", []string{failed}, []string{failed}, 2},
		{"a siege of one that is not let in", "bob", []string{denied, refused}, []string{denied, refused}, 5},
		{"an owner gives up in a siege", "bob", []string{failed}, []string{gaveUp}, 5},
		{"strangers who give up lay no siege", "bob", []string{gaveUp}, []string{failed}, 5},
	} {
		j, tell := passwordJail(t)
		for i := range byte(6) {
			tell(c.user, netip.AddrFrom4([4]byte{20, i, 0, 1}), c.before)
		}
		if c.before[0] != failed && c.before[len(c.before)-1] != refused && j.Failing() != 6 {
			t.Errorf("%s: %d of six strangers are counted", c.name, j.Failing())
		}
		got := 1
		for len(tell(c.user, netip.MustParseAddr("192.0.2.1"), c.lines)) == 0 && got < 9 {
			got++
		}
		if got != c.want {
			t.Errorf("%s: banned the %d. time, want the %d.", c.name, got, c.want)
		}
	}
}

// Whoever runs out of methods is told before the name: where the next line has it, an owner is no nobody, on which there is a
// siege. Where none comes, as by an old sshd, it is one, a second later.
func TestNobodyIsNamedByTheNextLine(t *testing.T) {
	t.Parallel()
	const (
		noMethod = "Received disconnect from ADDR port 1000:14: No supported authentication methods available [preauth]"
		farewell = "Disconnected from authenticating user USER ADDR port 1000 [preauth]"
	)
	for _, c := range []struct {
		lines []string
		want  int
	}{
		{[]string{noMethod, farewell}, 5},
		{[]string{noMethod}, 3}, // the second is told when the third is read
	} {
		_, tell := passwordJail(t)
		for i := range byte(6) {
			tell("", netip.AddrFrom4([4]byte{20, i, 0, 1}), []string{noMethod})
		}
		got := 1
		for len(tell("bob", netip.MustParseAddr("192.0.2.1"), c.lines)) == 0 && got < 9 {
			got++
		}
		if got != c.want {
			t.Errorf("%q: banned the %d. time, want the %d.", c.lines, got, c.want)
		}
	}
}

// A password that is refused behind a line that told the guess weighs what the guess did not, and is one of the entries.
func TestRefusedBehindItsGuess(t *testing.T) {
	t.Parallel()
	_, tell := passwordJail(t)
	lines := []string{"User root from ADDR not allowed because not listed in AllowUsers", "Failed password for invalid user root from ADDR port 1000 ssh2"}
	var got []jail.Decision
	for i := range byte(3) {
		got = append(got, tell("root", netip.AddrFrom4([4]byte{20, i, 0, 1}), lines)...)
	}
	if len(got) != 1 {
		t.Fatalf("decided %v", got)
	}
	const why = `name: "root", on which 3 networks failed, 5 of 5 points in 1d, offence 1, step 1`
	var rules []string
	for _, e := range got[0].Evidence {
		rules = append(rules, e.Rule)
	}
	if got[0].Reason.String() != why || got[0].Failures != 1 || !slices.Equal(rules, []string{"not-allowed", "failed"}) {
		t.Errorf("%q, %d failures, %q; want %q, 1 and both entries", got[0].Reason, got[0].Failures, rules, why)
	}
}

// passwordJail is an adaptive jail whose root cannot log in by password, and what tells it lines about a user and an address.
func passwordJail(t *testing.T) (*jail.Jail, func(user string, from netip.Addr, lines []string) []jail.Decision) {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := adaptive.New(adaptive.Default())
	d.SetAccounts([]string{"root", "bob"}, []string{"root"})
	cfg := tutorial()
	cfg.Detection = jail.Adaptive
	j, err := jail.New(cfg, f, nil, d)
	if err != nil {
		t.Fatal(err)
	}
	at, pid := time.Duration(0), int32(1)
	return j, func(user string, from netip.Addr, lines []string) (decisions []jail.Decision) {
		at, pid = at+time.Minute, pid+1
		for _, l := range lines {
			e := entry(at, pid, strings.NewReplacer("USER", user, "ADDR", fmt.Sprint(from)).Replace(l))
			decisions = append(decisions, j.Observe(e)...)
		}
		return decisions
	}
}
