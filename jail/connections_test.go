package jail_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// said is a line of a process at a time.
type said struct {
	at      time.Duration
	pid     int32
	boot    byte
	message string
}

// attemptsOf returns the attempts of lines, those that waited for something stronger included.
func attemptsOf(t testing.TB, o filter.Options, lines []said) []jail.Attempt {
	t.Helper()
	f, err := filter.New("sshd", o)
	if err != nil {
		t.Fatal(err)
	}
	c := jail.NewConnections()
	var attempts []jail.Attempt
	var last time.Duration
	for _, l := range lines {
		e := entry(l.at, l.pid, l.message)
		e.Boot = journal.ID{l.boot}
		attempts = c.Observe(c.Resolve(f.Parse(e.Message), e.Time), e, c.Advance(e.Time, attempts))
		last = l.at
	}
	return c.Advance(start.Add(last+time.Hour), attempts)
}

// tell returns the attempts of lines as text: "address guesses rule".
func tell(t testing.TB, o filter.Options, lines []said) (told []string) {
	t.Helper()
	for _, a := range attemptsOf(t, o, lines) {
		text := fmt.Sprintf("%v %d %s", a.Addr, a.Guesses, a.Rule)
		if a.Success {
			text = fmt.Sprintf("%v login, %d forgiven", a.Addr, a.Forgiven)
		}
		told = append(told, text)
	}
	return told
}

const (
	invalidA = "Invalid user x from 192.0.2.1 port 1000"
	invalidB = "Invalid user x from 192.0.2.2 port 2000"
	failedA  = "Failed password for root from 192.0.2.1 port 1000 ssh2"
	account  = "fatal: Access denied for user bob by PAM account configuration [preauth]"
	locked   = "User bob not allowed because account is locked"
	pamA     = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root"
	acceptA  = "Accepted password for root from 192.0.2.1 port 1000 ssh2"
	closedA  = "Connection closed by authenticating user root 192.0.2.1 port 1000 [preauth]"
	timeoutB = "Timeout before authentication for connection from 192.0.2.2 to 203.0.113.1, pid = 7"
)

func TestConnections(t *testing.T) {
	t.Parallel()
	ddos := filter.Options{Mode: "ddos"}
	for _, c := range []struct {
		name    string
		options filter.Options
		lines   []said
		want    []string
	}{
		{"one guess, three lines", filter.Options{}, []said{
			{0, 5, 0, invalidA},
			{1, 5, 0, "Failed password for invalid user x from 192.0.2.1 port 1000 ssh2"},
			{2, 5, 0, "Connection closed by invalid user x 192.0.2.1 port 1000 [preauth]"},
		}, []string{"192.0.2.1 1 invalid-user"}},
		{"a PID is used again", filter.Options{}, []said{
			{0, 5, 0, invalidA}, {1, 5, 0, invalidB},
		}, []string{"192.0.2.1 1 invalid-user", "192.0.2.2 1 invalid-user"}},
		{"a PID is used again for the same address", filter.Options{}, []said{
			{0, 5, 0, invalidA},
			{1, 5, 0, "Invalid user x from 192.0.2.1 port 1001"},
		}, []string{"192.0.2.1 1 invalid-user", "192.0.2.1 1 invalid-user"}},
		{"another boot", filter.Options{}, []said{
			{0, 5, 1, invalidA}, {1, 5, 2, account},
		}, []string{"192.0.2.1 1 invalid-user"}},
		{"no address: by connection", filter.Options{}, []said{
			{0, 5, 0, "Connection from 192.0.2.1 port 1000 on 203.0.113.1 port 22"},
			{1, 5, 0, account},
		}, []string{"192.0.2.1 1 account"}},
		{"the address comes later", filter.Options{}, []said{
			{0, 5, 0, locked}, {time.Second, 5, 0, failedA},
		}, []string{"192.0.2.1 1 not-allowed"}},
		{
			"the address comes too late to be the same connection's",
			filter.Options{},
			[]said{
				{0, 5, 0, locked}, {31 * time.Second, 5, 0, closedA},
			},
			[]string{"192.0.2.1 1 gave-up"},
		},
		{"no address: not by a connection that is over", filter.Options{}, []said{
			{0, 5, 0, closedA}, {1, 5, 0, account},
		}, []string{"192.0.2.1 1 gave-up"}},
		{"no address: not by a connection of long ago", filter.Options{}, []said{
			{0, 5, 0, failedA}, {151 * time.Second, 5, 0, account},
		}, []string{"192.0.2.1 1 failed"}},
		{"no address and no PID: nobody's", filter.Options{}, []said{
			{0, 0, 0, failedA}, {1, 0, 0, account},
		}, []string{"192.0.2.1 1 failed"}},
		{
			"the listener's line is about the connection that it names", ddos,
			[]said{
				{0, 5, 0, failedA}, {1, 5, 0, timeoutB}, {2, 5, 0, account},
			},
			[]string{"192.0.2.1 1 failed", "192.0.2.2 1 timeout"},
		},
		{"the listener's line is no second attempt", ddos, []said{
			{0, 7, 0, invalidB}, {time.Minute, 5, 0, timeoutB},
		}, []string{"192.0.2.2 1 invalid-user"}},
		{"the listener's penalties stand alone", ddos, []said{
			{0, 5, 0, "drop connection #0 from [192.0.2.2]:5 on [203.0.113.1]:22 penalty: failed authentication"},
			{1, 5, 0, "drop connection #0 from [192.0.2.1]:5 on [203.0.113.1]:22 penalty: failed authentication"},
		}, []string{"192.0.2.2 1 penalty", "192.0.2.1 1 penalty"}},
		{"a probe is one", ddos, []said{
			{0, 5, 0, "error: kex_exchange_identification: Connection closed by remote host"},
			{1, 5, 0, "Connection closed by 192.0.2.1 port 1000"},
		}, []string{"192.0.2.1 1 kex"}},
		{"who comes and goes at once is a probe", ddos, []said{
			{0, 5, 0, "Connection closed by 192.0.2.1 port 1000"},
		}, []string{"192.0.2.1 1 closed"}},
		{"the end of a session is no probe, whichever process tells it", ddos, []said{
			{0, 5, 0, acceptA},
			{time.Hour, 6, 0, "Connection closed by 192.0.2.1 port 1000"},
			{2 * time.Hour, 7, 0, "Connection closed by 192.0.2.1 port 1000"},
		}, []string{"192.0.2.1 login, 0 forgiven", "192.0.2.1 1 closed"}},
		{"a login that begins without a password is no guess", filter.Options{}, []said{
			{0, 5, 0, "Failed none for root from 192.0.2.1 port 1000 ssh2"}, {1, 5, 0, acceptA},
		}, []string{"192.0.2.1 login, 0 forgiven"}},
		{"a login forgives its slips", filter.Options{}, []said{
			{0, 5, 0, failedA}, {1, 5, 0, failedA}, {2, 5, 0, acceptA},
		}, []string{"192.0.2.1 1 failed", "192.0.2.1 1 failed", "192.0.2.1 login, 2 forgiven"}},
		{
			"a login does not forgive other names",
			filter.Options{},
			[]said{
				{0, 5, 0, "Failed password for bob from 192.0.2.1 port 1000 ssh2"}, {1, 5, 0, acceptA},
			},
			[]string{"192.0.2.1 1 failed", "192.0.2.1 login, 0 forgiven"},
		},
		{
			"a login does not forgive other connections",
			filter.Options{},
			[]said{
				{0, 5, 0, failedA}, {1, 6, 0, strings.ReplaceAll(acceptA, "1000", "1001")},
			},
			[]string{"192.0.2.1 1 failed", "192.0.2.1 login, 0 forgiven"},
		},
		{"a login is one", filter.Options{}, []said{
			{0, 5, 0, acceptA},
			{1, 5, 0, "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"},
		}, []string{"192.0.2.1 login, 0 forgiven"}},
		{"only PAM tells", filter.Options{}, []said{
			{0, 5, 0, pamA},
		}, []string{"192.0.2.1 1 pam"}},
		{"PAM and, from another process, more", filter.Options{}, []said{
			{0, 9, 0, pamA}, {2 * time.Minute, 5, 0, failedA},
		}, []string{"192.0.2.1 1 failed"}},
		{"PAM, and more that is too late", filter.Options{}, []said{
			{0, 9, 0, pamA}, {2*time.Minute + 1e6, 5, 0, failedA},
		}, []string{"192.0.2.1 1 pam", "192.0.2.1 1 failed"}},
		{"PAM in a login that succeeds", filter.Options{}, []said{
			{0, 9, 0, pamA}, {time.Second, 5, 0, acceptA},
		}, []string{"192.0.2.1 login, 0 forgiven"}},
		{"PAM behind a login that succeeded", filter.Options{}, []said{
			{0, 5, 0, acceptA}, {time.Second, 9, 0, pamA},
		}, []string{"192.0.2.1 login, 0 forgiven"}},
		{"PAM in a login of which only PAM tells", filter.Options{}, []said{
			{0, 9, 0, pamA},
			{1, 5, 0, "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"},
		}, nil},
		{"PAM in a login of which only PAM tells, while somebody else guesses", filter.Options{}, []said{
			{0, 9, 0, pamA},
			{0, 7, 0, strings.ReplaceAll(pamA, "192.0.2.1", "192.0.2.2")},
			{0, 3, 0, strings.ReplaceAll(pamA, "192.0.2.1", "192.0.2.3")},
			{1, 5, 0, "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"},
		}, []string{"192.0.2.1 1 pam", "192.0.2.3 1 pam"}},
		{"PAM, and a login of another user", filter.Options{}, []said{
			{0, 9, 0, pamA},
			{1, 5, 0, "pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)"},
		}, []string{"192.0.2.1 1 pam"}},
		{"limit of attempts that other lines told", filter.Options{}, []said{
			{0, 5, 0, failedA},
			{1, 5, 0, failedA},
			{2, 5, 0, "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 1000 ssh2 [preauth]"},
		}, []string{"192.0.2.1 1 failed", "192.0.2.1 1 failed"}},
		{"limit of attempts that PAM told", filter.Options{}, []said{
			{0, 5, 0, pamA},
			{1, 5, 0, "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 1000 ssh2 [preauth]"},
			{2, 5, 0, strings.Replace(pamA, "pam_unix(sshd:auth): authentication failure", "PAM 4 more authentication failures", 1)},
		}, []string{"192.0.2.1 1 max-attempts", "192.0.2.1 4 pam"}},
		{"passwords and dialogs are different guesses", filter.Options{}, []said{
			{0, 5, 0, "error: PAM: Authentication failure for root from 192.0.2.1"},
			{1, 5, 0, "Failed keyboard-interactive/pam for root from 192.0.2.1 port 1000 ssh2"},
			{2, 5, 0, failedA},
		}, []string{"192.0.2.1 1 pam-error", "192.0.2.1 1 failed"}},
		{"keys of a user who does not exist are one guess", filter.Options{}, []said{
			{0, 5, 0, "Failed publickey for invalid user x from 192.0.2.1 port 1000 ssh2: ED25519 SHA256:a"},
			{1, 5, 0, "Failed publickey for invalid user x from 192.0.2.1 port 1000 ssh2: ED25519 SHA256:b"},
		}, []string{"192.0.2.1 1 failed"}},
		{"any key", filter.Options{Publickey: "any"}, []said{
			{0, 5, 0, "Failed publickey for root from 192.0.2.1 port 1000 ssh2: ED25519 SHA256:a"},
			{1, 5, 0, "Failed publickey for root from 192.0.2.1 port 1000 ssh2: ED25519 SHA256:b"},
		}, []string{"192.0.2.1 1 failed", "192.0.2.1 1 failed"}},
		{"repeated", filter.Options{}, []said{
			{0, 5, 0, failedA}, {1, 5, 0, "message repeated 4 times: [ " + failedA + "]"},
		}, []string{"192.0.2.1 1 failed", "192.0.2.1 4 failed"}},
	} {
		if diff := cmp.Diff(c.want, tell(t, c.options, c.lines)); diff != "" {
			t.Errorf("%s: attempts (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestPasswordsAreTold: an attempt says whether a password was refused, once for each that was, and once more without a guess
// where a line that told the guess could not know.
func TestPasswordsAreTold(t *testing.T) {
	t.Parallel()
	const (
		denied    = "User root from 192.0.2.1 not allowed because not listed in AllowUsers"
		refused   = "Failed password for invalid user root from 192.0.2.1 port 1000 ssh2"
		key       = "Failed publickey for root from 192.0.2.1 port 1000 ssh2: ED25519 SHA256:a"
		tooMany   = "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 1000 ssh2 [preauth]"
		noMethod  = "Received disconnect from 192.0.2.1 port 1000:14: No supported authentication methods available [preauth]"
		dialog    = "error: PAM: Authentication failure for root from 192.0.2.1"
		forbidden = "Failed gssapi-with-mic for root from 192.0.2.1 port 1000 ssh2"
	)
	for _, c := range []struct {
		name  string
		keys  string // the option publickey
		lines []string
		want  []string // "guesses password" or "guesses"
	}{
		{"a password", "", []string{failedA, closedA}, []string{"1 password"}},
		{"a dialog", "", []string{dialog}, []string{"1 password"}},
		{"PAM alone", "", []string{pamA}, []string{"1 password"}},
		{"gave up", "", []string{closedA}, []string{"1"}},
		{"too many keys", "", []string{tooMany}, []string{"1"}},
		{"no method left", "", []string{noMethod}, []string{"1"}},
		{"no method left, and then whose it was", "", []string{noMethod, "Disconnected from authenticating user root 192.0.2.1 port 1000 [preauth]"}, []string{"1"}},
		{"a ticket", "", []string{forbidden}, []string{"1"}},
		{"a key that counts, and a password", "any", []string{key, key, failedA, key}, []string{"1", "1", "1 password", "1"}},
		{"not allowed", "", []string{denied}, []string{"1"}},
		{"not allowed, and two passwords", "", []string{denied, refused, refused, closedA}, []string{"1", "0 password", "1 password"}},
		{"not allowed, and the address comes later", "", []string{locked, refused}, []string{"1 password"}},
		{"no such user", "", []string{invalidA, strings.Replace(refused, "root", "x", 1)}, []string{"1"}},
		{"not allowed, and a login", "", []string{denied, acceptA, failedA}, []string{"1", "login"}},
	} {
		var lines []said
		for _, message := range c.lines {
			lines = append(lines, said{pid: 5, message: message})
		}
		var got []string
		for _, a := range attemptsOf(t, filter.Options{Publickey: c.keys}, lines) {
			switch {
			case a.Success:
				got = append(got, "login")
			case a.Passwordless:
				got = append(got, fmt.Sprint(a.Guesses))
			default:
				got = append(got, fmt.Sprintf("%d password", a.Guesses))
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: attempts (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestConnectionsAreBounded: neither connections nor weak evidence pile up, and a flood of PAM failures is not lost.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := jail.NewConnections()
	const n = 40_000
	told := 0
	var attempts []jail.Attempt
	for i := range n {
		e := entry(time.Duration(i), int32(i+1), strings.Replace(pamA, "192.0.2.1", numbered(i).String(), 1))
		attempts = c.Observe(f.Parse(e.Message), e, attempts[:0])
		told += len(attempts)
		if waiting := i + 1 - told; waiting > 16384 {
			t.Fatalf("%d PAM failures wait", waiting)
		}
	}
	told += len(c.Advance(start.Add(time.Hour), nil))
	if told != n {
		t.Errorf("%d attempts, want %d", told, n)
	}
	if got, want := c.Evicted(), uint64(n-16384); got != want {
		t.Errorf("%d connections evicted, want %d", got, want)
	}
}

func numbered(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}
