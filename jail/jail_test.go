package jail_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
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

func newJail(t testing.TB, cfg jail.Config, allow jail.Allow) *jail.Jail {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j, err := jail.New(cfg, f, allow, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func entry(at time.Duration, pid int32, message string) *journal.Entry {
	return &journal.Entry{
		Time: start.Add(at), PID: pid, Message: []byte(message), Identifier: "sshd", Transport: "syslog",
		Position: journal.Position{SeqnumID: journal.ID{1}, Seqnum: uint64(at/time.Second) + 1},
	}
}

func failed(addr string) string { return "Failed password for root from " + addr + " port 4000 ssh2" }

func TestBanAtTheLastOfMaxRetry(t *testing.T) {
	t.Parallel()
	j := newJail(t, tutorial(), nil)
	for i := range 3 {
		if d := j.Observe(entry(time.Duration(i)*time.Second, 7, failed("192.0.2.10"))); len(d) != 0 {
			t.Fatalf("guess %d: decided %v", i+1, d)
		}
	}
	got := j.Observe(entry(3*time.Second, 7, failed("192.0.2.10")))
	want := []jail.Decision{{
		Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.10/32"), At: start.Add(3 * time.Second),
		Until: start.Add(time.Hour + 3*time.Second), Failures: 4,
		Reason: jail.Reason{Kind: jail.ByFailures, Count: 4, Span: 10 * time.Minute}, Account: "root",
	}}
	for i := range 4 {
		at := start.Add(time.Duration(i) * time.Second)
		want[0].Evidence = append(want[0].Evidence, jail.Trace{Time: at, Rule: "failed", Position: journal.Position{
			SeqnumID: journal.ID{1}, Seqnum: uint64(i + 1), Realtime: uint64(at.UnixMicro()),
		}})
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	if n := j.Failing(); n != 0 {
		t.Errorf("%d prefixes are counted after the ban, want 0", n)
	}
}

func TestWindowSlides(t *testing.T) {
	t.Parallel()
	const step = 200 * time.Second // four guesses span exactly ten minutes
	for _, c := range []struct {
		last time.Duration
		ban  bool
	}{{3 * step, true}, {3*step + time.Microsecond, false}} {
		j := newJail(t, tutorial(), nil)
		var got []jail.Decision
		for i, at := range []time.Duration{0, step, 2 * step, c.last} {
			got = j.Observe(entry(at, int32(i+1), failed("192.0.2.10")))
		}
		if ban := len(got) == 1; ban != c.ban {
			t.Errorf("last guess after %v: ban %v, want %v", c.last, ban, c.ban)
		}
	}
}

// TestOneConnection is five wrong passwords, as OpenSSH 9.2 logs them.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	const pam = "logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.10  user=root"
	messages := []string{"pam_unix(sshd:auth): authentication failure; " + pam}
	for range 5 {
		messages = append(messages, "Failed password for root from 192.0.2.10 port 32878 ssh2")
	}
	messages = append(messages, "Connection closed by authenticating user root 192.0.2.10 port 32878 [preauth]",
		"PAM 4 more authentication failures; "+pam, "PAM service(sshd) ignoring max retries; 5 > 3")
	if n := guesses(t, messages); n != 5 {
		t.Errorf("counted %d guesses, want 5", n)
	}
	if n := guesses(t, []string{messages[0], messages[7]}); n != 5 {
		t.Errorf("counted %d guesses with PAM alone, want 5", n)
	}
}

// guesses counts what the lines of one process tell.
func guesses(t testing.TB, messages []string) (n int) {
	t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := jail.NewConnections()
	var attempts []jail.Attempt
	for i, m := range messages {
		e := entry(time.Duration(i)*time.Second, 211, m)
		attempts = c.Observe(f.Parse(e.Message), e, attempts)
	}
	for _, a := range c.Advance(start.Add(time.Hour), attempts) {
		n += a.Guesses
	}
	return n
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	j := newJail(t, tutorial(), nil)
	var got []jail.Decision
	for i := range 4 {
		got = j.Observe(entry(time.Duration(i)*time.Second, int32(i+1), failed(fmt.Sprintf("2001:db8:0:5::%x", i+1))))
	}
	if len(got) != 1 || got[0].Prefix != netip.MustParsePrefix("2001:db8:0:5::/64") {
		t.Errorf("decided %v, want a ban of 2001:db8:0:5::/64", got)
	}
}

type allowFunc func(netip.Addr) bool

func (f allowFunc) Allowed(a netip.Addr, _ time.Time) (string, bool) {
	return "ignoreip " + a.String(), f(a)
}

func TestProtected(t *testing.T) {
	t.Parallel()
	j := newJail(t, tutorial(), allowFunc(func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.10") }))
	var got []jail.Decision
	for i := range 4 {
		got = j.Observe(entry(time.Duration(i)*time.Second, 1, failed("192.0.2.10")))
	}
	if len(got) != 1 || got[0].Protected != "ignoreip 192.0.2.10" {
		t.Errorf("decided %v, want one that says who is protected", got)
	}
	if j.Failing() != 0 {
		t.Error("a protected address is counted as failing")
	}
}

func TestForgetHostsExpire(t *testing.T) {
	t.Parallel()
	j := newJail(t, tutorial(), nil)
	for i := range 5 {
		j.Observe(entry(time.Duration(i)*time.Second, int32(i+1), failed(fmt.Sprintf("192.0.2.%d", 5-i))))
	}
	j.Forget(netip.MustParsePrefix("192.0.2.2/32"))
	var got []string
	for _, h := range j.Hosts(netip.MustParsePrefix("192.0.2.1/32"), 2) {
		got = append(got, h.Prefix.String())
	}
	if diff := cmp.Diff([]string{"192.0.2.3/32", "192.0.2.4/32"}, got); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	j.Advance(start.Add(10*time.Minute + 3*time.Second))
	if n := j.Failing(); n != 1 {
		t.Errorf("%d prefixes are counted when all but the newest have run out, want 1", n)
	}
}

func TestTrusted(t *testing.T) {
	t.Parallel()
	units, identifiers := []string{"ssh.service", "ssh@*.service"}, []string{"sshd", "sshd-session"}
	for _, c := range []struct {
		name   string
		entry  journal.Entry
		stdout bool
		want   bool
	}{
		{"its unit", journal.Entry{Unit: "ssh.service", Identifier: "sshd", Transport: "syslog"}, false, true},
		{"an instance", journal.Entry{Unit: "ssh@1-192.0.2.1:22.service", Transport: "journal"}, false, true},
		{"no unit", journal.Entry{Identifier: "sshd-session", Transport: "syslog"}, false, true},
		{"session scope", journal.Entry{Unit: "session-3.scope", Identifier: "sshd", Transport: "syslog"}, false, true},
		{"user manager", journal.Entry{Unit: "user@1000.service", Identifier: "sshd", Transport: "syslog"}, false, true},
		{"not root", journal.Entry{UID: 1000, Unit: "session-3.scope", Identifier: "sshd", Transport: "syslog"}, false, false},
		{"nobody knows who", journal.Entry{UID: -1, Identifier: "sshd", Transport: "syslog"}, false, false},
		{"another unit", journal.Entry{Unit: "cron.service", Identifier: "sshd", Transport: "syslog"}, false, false},
		{"another identifier", journal.Entry{Unit: "session-3.scope", Identifier: "su", Transport: "syslog"}, false, false},
		{"stdout", journal.Entry{Unit: "ssh.service", Transport: "stdout"}, false, false},
		{"trusted stdout", journal.Entry{Unit: "ssh.service", Transport: "stdout"}, true, true},
		{"kernel", journal.Entry{Unit: "ssh.service", Transport: "kernel"}, true, false},
		{"text log", journal.Entry{UID: -1, Identifier: "sshd", Transport: "text"}, false, true},
		{"text log of another", journal.Entry{UID: -1, Identifier: "su", Transport: "text"}, false, false},
	} {
		if got := jail.Trusted(&c.entry, units, identifiers, c.stdout); got != c.want {
			t.Errorf("%s: trusted %v, want %v", c.name, got, c.want)
		}
	}
}

// TestElsewhere: which lines of root's would count if somebody watched their unit.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	units, identifiers := []string{"ssh.service", "ssh@*.service"}, []string{"sshd", "sshd-session"}
	for name, c := range map[string]struct {
		entry journal.Entry
		want  string
	}{
		"a copy":             {journal.Entry{Unit: "sshd-second.service", Identifier: "sshd", Transport: "syslog"}, "sshd-second.service"},
		"an instance":        {journal.Entry{Unit: "b@1-192.0.2.1:22.service", Identifier: "sshd", Transport: "journal"}, "b@*.service"},
		"a container":        {journal.Entry{Unit: "docker-1a2b.scope", Identifier: "sshd-session", Transport: "syslog"}, "docker-1a2b.scope"},
		"its unit":           {journal.Entry{Unit: "ssh.service", Identifier: "sshd", Transport: "syslog"}, ""},
		"its instance":       {journal.Entry{Unit: "ssh@1-a.service", Identifier: "sshd", Transport: "syslog"}, ""},
		"no unit":            {journal.Entry{Identifier: "sshd", Transport: "syslog"}, ""},
		"session scope":      {journal.Entry{Unit: "session-3.scope", Identifier: "sshd", Transport: "syslog"}, ""},
		"not root":           {journal.Entry{UID: 1000, Unit: "x.service", Identifier: "sshd", Transport: "syslog"}, ""},
		"another identifier": {journal.Entry{Unit: "cron.service", Identifier: "cron", Transport: "syslog"}, ""},
		"stdout":             {journal.Entry{Unit: "x.service", Identifier: "sshd", Transport: "stdout"}, ""},
		"text log":           {journal.Entry{UID: -1, Identifier: "sshd", Transport: "text"}, ""},
	} {
		if got := jail.Elsewhere(&c.entry, units, identifiers); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A network is not banned around an address that lately came in with a key; one that the jail counts as one is.
func TestNoNetworkAroundALoginWithAKey(t *testing.T) {
	t.Parallel()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := tutorial()
	cfg.TrustLogins = time.Hour
	j, err := jail.New(cfg, f, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for pid, from := range []string{"192.0.2.10", "2001:db8::1"} {
		j.Observe(entry(0, int32(pid+1), "Accepted publickey for alice from "+from+" port 4000 ssh2: ED25519 SHA256:x"))
		j.Observe(entry(0, int32(pid+1), "Disconnected from user alice "+from+" port 4000"))
	}
	for _, c := range []struct {
		p     string
		after time.Duration
		want  string
	}{
		{"192.0.2.0/24", time.Hour, "login with a key"},
		{"2001:db8::/56", time.Hour, "login with a key"},
		{"192.0.2.0/24", time.Hour + time.Microsecond, ""},
		{"192.0.3.0/24", time.Hour, ""},
		{"2001:db8:0:100::/56", time.Hour, ""},
		{"192.0.2.10/32", time.Hour, ""},
		{"2001:db8::/64", time.Hour, ""},
	} {
		if why, ok := j.Touches(netip.MustParsePrefix(c.p), start.Add(c.after)); why != c.want || ok != (c.want != "") {
			t.Errorf("a ban of %s after %v hits %q, want %q", c.p, c.after, why, c.want)
		}
	}
}

// TestFromUnit: the lines of a service are those of its units, whoever runs there, and nobody else's.
func TestFromUnit(t *testing.T) {
	t.Parallel()
	units := []string{"web.service", "web@*.service"}
	entry := func(uid int64, unit, identifier, transport string) journal.Entry {
		return journal.Entry{UID: uid, Unit: unit, Identifier: identifier, Transport: transport}
	}
	for _, c := range []struct {
		entry        journal.Entry
		stdout, want bool
	}{
		{entry(33, "web.service", "web", "syslog"), false, true},
		{entry(0, "web@a.service", "anything", "journal"), false, true},
		{entry(33, "web.service", "web", "stdout"), false, false},
		{entry(33, "web.service", "web", "stdout"), true, true},
		{entry(0, "", "web", "syslog"), true, false}, // its process has exited
		{entry(1000, "user@1000.service", "web", "syslog"), true, false},
		{entry(0, "session-1.scope", "web", "syslog"), true, false},
		{entry(33, "web.service", "web", "kernel"), true, false},
		{entry(33, "web.service", "web", "audit"), true, false},
		{entry(33, "web.service", "web", "text"), true, false},
	} {
		if got := jail.FromUnit(&c.entry, units, c.stdout); got != c.want {
			t.Errorf("%+v: %t", c.entry, got)
		}
	}
	for _, c := range []struct {
		entry journal.Entry
		want  bool
	}{
		{entry(0, "", "web", "text"), true},
		{entry(0, "", "", "text"), false}, // a syslog daemon writes what has no tag, too
		{entry(0, "", "other", "text"), false},
		{entry(0, "", "web", "syslog"), false},
	} {
		if got := jail.FromLog(&c.entry, []string{"web"}, false); got != c.want {
			t.Errorf("%+v: %t", c.entry, got)
		}
	}
	if own := entry(0, "", "", "text"); !jail.FromLog(&own, []string{"web"}, true) {
		t.Error("a line of the service's own log is not trusted")
	}
}
