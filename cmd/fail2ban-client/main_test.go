package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"exile/dbusapi"
	"exile/dbusapi/client"
	"exile/dbusapi/dbustest"
	"exile/internal/control"
	"exile/internal/control/controltest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fail2ban-client": main})
}

// jails are those of testdata/jail.conf.
func jails() []control.JailStatus {
	all := []control.JailStatus{{Name: "a-very-long-name"}, {Name: "mail"}, {Name: "open"}, {Name: "web"}}
	for i := range all {
		j := &all[i]
		j.State, j.MaxRetry, j.FindTime, j.BanTime = "running", 5, 10*time.Minute, 10*time.Minute
		j.Protected, j.Logs = []string{"127.0.0.0/8", "::1"}, []string{"/DIR/a.log"}
	}
	all[2].Protected, all[2].BanTime = nil, -1
	all[3].MaxRetry, all[3].FindTime, all[3].Logs = 3, 90*time.Second, []string{"/DIR/a.log", "/DIR/b.log"}
	return all
}

// serve puts a daemon with the jails on a bus until the test ends.
func serve(t *testing.T, jails []control.JailStatus) (*controltest.Fake, client.Config) {
	t.Helper()
	bus, fake, up := dbustest.Start(t), &controltest.Fake{}, make(chan error, 1)
	fake.Set(control.Status{State: "running"}, jails, nil, nil)
	s := dbusapi.New(dbusapi.Config{Address: bus.Address, Daemon: fake, LogLevel: new(slog.LevelVar), Connected: func(err error) { up <- err }})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	return fake, client.Config{Address: bus.Address}
}

var (
	logged = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} fail2ban                \[\d+\]: `)
	dated  = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
)

// play runs the commands of a file with one client, and writes down what each said: its output, what it logged, its exit status.
func play(t *testing.T, file string, run func(args []string) (out, log string, code int)) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.Lines(read(t, file)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		out, log, code := run(strings.Fields(line))
		fmt.Fprintf(&all, "$ fail2ban-client %s\n%s", line, dated.ReplaceAllString(out, "TIME"))
		for l := range strings.Lines(log) {
			if head := logged.FindString(l); head != "" {
				fmt.Fprintf(&all, "! %s", strings.TrimPrefix(l, head))
			}
		}
		if code != 0 {
			fmt.Fprintf(&all, "= %d\n", code)
		}
	}
	return all.String()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ours runs this program.
func ours(t *testing.T, bus client.Config) func(args []string) (string, string, int) {
	return func(args []string) (string, string, int) {
		var out, log bytes.Buffer
		code := run(t.Context(), bus, args, &out, &log)
		return out.String(), log.String(), code
	}
}

// same compares with a file, or writes it: UPDATE_GOLDEN=1.
func same(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(filepath.Join("testdata", file), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(strings.Split(read(t, file), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got)\n%s", file, diff)
	}
}

// What programs read is what fail2ban's own client said.
func TestSame(t *testing.T) {
	t.Parallel()
	_, bus := serve(t, jails())
	got := play(t, "commands.txt", ours(t, bus))
	if diff := cmp.Diff(strings.Split(read(t, "same.txt"), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("fail2ban says - and exile says +\n%s", diff)
	}
}

// The rest says what to type instead, and fails. UPDATE_GOLDEN=1 writes what it says.
func TestOwn(t *testing.T) {
	t.Parallel()
	all := append(jails(), control.JailStatus{Name: "sshd", State: "running", Units: []string{"ssh.service", "sshd.service"}, MaxRetry: 5, BanTime: time.Hour},
		control.JailStatus{Name: "trial", State: control.Simulating})
	fake, bus := serve(t, all)
	at := time.Date(2026, 5, 4, 9, 0, 0, 0, time.Local)
	fake.Set(control.Status{State: "running"}, all, []control.Ban{
		{Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.0/24"), Since: at},
		{Jail: "trial", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Since: at, Until: at.Add(time.Hour), Simulated: true},
	}, nil)
	fake.Protect(netip.MustParsePrefix("192.0.2.77/32"), "ignoreip 192.0.2.77")
	same(t, "own.txt", play(t, "own-commands.txt", ours(t, bus)))
	fake.Fail(fmt.Errorf("%w: exile.yaml:3: no such key", control.ErrConfig))
	out, log, code := ours(t, bus)([]string{"reload"})
	if code != failed || !strings.Contains(out, "exile.yaml:3") || !strings.Contains(log, "NOK: (") {
		t.Errorf("a reload that is refused: %q, %q, %d", out, log, code)
	}
}

// Without a daemon or a bus, it fails as without fail2ban's server.
func TestNoDaemon(t *testing.T) {
	t.Parallel()
	for name, bus := range map[string]client.Config{"bus": {Address: dbustest.Start(t).Address}, "daemon": {Address: "unix:path=/nonexistent/bus"}} {
		for _, args := range [][]string{{"status"}, {"ping"}, {"set", "sshd", "banip", "192.0.2.1"}, {"start"}} {
			out, log, code := ours(t, bus)(args)
			if out != "" || code != failed || !strings.Contains(log, "Is fail2ban running?") {
				t.Errorf("no %s, %q: %q, %q, %d", name, args, out, log, code)
			}
		}
	}
}

// Nobody's text moves a cursor, whether it is an argument or comes from the daemon.
func TestHostileText(t *testing.T) {
	t.Parallel()
	_, bus := serve(t, []control.JailStatus{{Name: "sshd", State: "running"}})
	for _, args := range [][]string{
		{"status", "\x1b[2J"},
		{"\x1b[2J"},
		{"set", "sshd", "\x1b[2J", "1"},
		{"set", "sshd", "banip", "\x1b[2J'"},
		{"reload", "\x1b[2J"},
		{"echo", "\x1b[2J\u202e"},
		{"stop", "\x1b[2J"},
		{"set", "sshd", "unbanip", "--report-absent", "\x1b[2J\"'\\"},
	} {
		out, log, _ := ours(t, bus)(args)
		if strings.ContainsAny(out+log, "\x1b\u202e") || out+log == "" {
			t.Errorf("%q: %q, %q", args, out, log)
		}
	}
	for text, want := range map[string]string{"a": "'a'", "it's": `"it's"`, `'"`: `'\'"'`, `\`: `'\\'`, "\x1b": `'\x1b'`} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) = %s, want %s", text, got, want)
		}
	}
}

// TestDenied: a user without the right gets fail2ban's own error; only root may open fail2ban's socket.
func TestDenied(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("list: %w", &client.RemoteError{Name: "org.freedesktop.DBus.Error.AccessDenied", Message: "use sudo"})
	if got := explain(err); !strings.HasPrefix(got, "Permission denied to socket: ") || !strings.HasSuffix(got, ", (you must be root)") {
		t.Errorf("it says %q", got)
	}
}
