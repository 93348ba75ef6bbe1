package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scenario is what one client does to one server, and how many attempts it must count as.
type scenario struct {
	name    string
	server  string
	family  int
	do      func(client)
	guesses int
	told    int  // how many the log tells of, if fewer
	less    bool // it tells of fewer
	slips   bool // a login follows and forgives them
}

// counted returns how many attempts the log tells of.
func (s scenario) counted() int {
	if s.less {
		return s.told
	}
	return s.guesses
}

// atOnce reports whether the daemon counts the scenario as soon as it sees it: where only PAM logs, it waits 2 minutes for
// more lines, and it protects neighbours on its own link.
func (s scenario) atOnce() bool {
	return s.server != "error" && s.server != "fatal" && s.server != "quiet" && s.family != onWire
}

func guesses(method, user string, n int) func(client) {
	return func(c client) { c.ssh(user, "wrong horse battery staple", methods(method, n)) }
}

// matrix is one to six guesses, by method and user, at each log level.
func matrix() (all []scenario) {
	add := func(server, method, kind, user string, n int) {
		name := fmt.Sprintf("%s %s %s %d", server, method, kind, n)
		all = append(all, scenario{name: name, server: server, do: guesses(method, user, n), guesses: n})
	}
	for n := 1; n <= 6; n++ {
		for kind, user := range map[string]string{"valid": "exuser", "invalid": "nosuch"} {
			for _, server := range []string{"info", "verbose", "debug", "error", "quiet"} {
				if n%3 == 2 && (server == "error" || server == "quiet") {
					continue // there PAM logs everything
				}
				add(server, "password", kind, user, n)
				add(server, "keyboard-interactive", kind, user, n)
			}
			add("no PAM", "password", kind, user, n) // and there is no dialog
		}
	}
	slices.SortFunc(all, func(a, b scenario) int { return strings.Compare(a.name, b.name) })
	return all
}

// others are the other clients that an sshd sees.
var others = []scenario{
	{name: "IPv6", server: "info", family: inet6, do: guesses("password", "root", 2), guesses: 2},
	{name: "IPv6 link-local", server: "info", family: onWire, do: guesses("password", "root", 2), guesses: 2},
	{name: "started by a socket", server: "socket", do: guesses("password", "exuser", 3), guesses: 3},
	{name: "started by a socket, invalid user", server: "socket", do: guesses("keyboard-interactive", "nosuch", 2), guesses: 2},
	{name: "keyboard-interactive 2, password 2", server: "info", do: guesses("keyboard-interactive,password", "exuser", 2), guesses: 4},
	{name: "wrong once, then right", server: "info", do: slip("password"), guesses: 1, slips: true},
	{name: "wrong once, then right, in a dialog", server: "info", do: slip("keyboard-interactive"), guesses: 1, slips: true},
	{name: "right", server: "info", do: login("password", "exuser")},
	{name: "right at QUIET", server: "quiet", do: login("password", "quietuser")},
	{name: "right in a dialog", server: "info", do: login("keyboard-interactive", "exuser")},
	{name: "right in a dialog at VERBOSE", server: "verbose", do: login("keyboard-interactive", "exuser")},
	{name: "right in a dialog at QUIET", server: "quiet", do: login("keyboard-interactive", "quietuser")},
	{name: "right without PAM", server: "no PAM", do: login("password", "exuser")},
	{name: "right without PAM at VERBOSE", server: "no PAM verbose", do: login("password", "exuser")},
	{name: "agent of five keys", server: "info", do: agent("exuser")},
	{name: "agent of five keys at VERBOSE", server: "verbose", do: agent("exuser")},
	{name: "agent of five keys at DEBUG", server: "debug", do: agent("exuser")},
	{name: "agent of five keys, key-only server", server: "keys", do: agent("exuser")},
	{name: "wrong keys", server: "info", do: keys("exuser"), guesses: 1},
	{name: "wrong keys, invalid user", server: "info", do: keys("nosuch"), guesses: 1},
	{name: "wrong keys, key-only server", server: "keys", do: keys("exuser"), guesses: 1},
	{name: "wrong keys, key-only server, invalid user", server: "keys", do: keys("nosuch"), guesses: 1},
	{name: "password, key-only server", server: "keys", do: guesses("password", "exuser", 1), guesses: 1},
	{name: "AllowUsers", server: "allow", do: guesses("password", "exuser", 3), guesses: 3},
	{name: "MaxAuthTries", server: "tries", do: guesses("password", "exuser", 3), guesses: 2},
	{name: "MaxAuthTries, invalid user", server: "tries", do: guesses("password", "nosuch", 3), guesses: 2},
	{name: "root refused", server: "no root", do: guesses("password", "root", 2), guesses: 2},
	{name: "locked account without PAM", server: "no PAM", do: guesses("password", "locked", 2), guesses: 2},
	{name: "no PAM at ERROR", server: "no PAM error", do: guesses("password", "exuser", 5), guesses: 5, less: true},
	{name: "no PAM at ERROR, too many", server: "no PAM error", do: guesses("password", "exuser", 6), guesses: 6, told: 1, less: true},
	{name: "FATAL", server: "fatal", do: guesses("password", "exuser", 3), guesses: 3},
	{name: "FATAL, invalid user", server: "fatal", do: guesses("password", "nosuch", 6), guesses: 6},
	{name: "FATAL in a dialog, invalid user", server: "fatal", do: guesses("keyboard-interactive", "nosuch", 2), guesses: 2},
	{name: "right at FATAL", server: "fatal", do: login("password", "quietuser")},
	{name: "no PAM at FATAL", server: "no PAM fatal", do: guesses("password", "exuser", 6), guesses: 6, less: true},
	{name: "PerSourcePenalties", server: "penalties", do: penalised, guesses: 1},
	{name: "port scan", server: "info", do: func(c client) { c.raw("", 0, false) }},
	{name: "port scan with resets", server: "info", do: func(c client) { c.raw("", 0, true) }},
	{name: "HTTP", server: "info", do: func(c client) { c.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n", time.Second, false) }},
	{name: "TLS", server: "info", do: func(c client) { c.raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", time.Second, false) }},
	{name: "banner and nothing else", server: "info", do: func(c client) { c.raw("SSH-2.0-Go\r\n", time.Second, false) }},
	{name: "SSH 1", server: "info", do: func(c client) { c.raw("SSH-1.5-x\r\n", time.Second, false) }},
	{name: "garbage behind the banner", server: "info", do: func(c client) { c.raw("SSH-2.0-x\r\n"+strings.Repeat("\xff", 64), time.Second, false) }},
	{name: "LoginGraceTime", server: "grace", do: func(c client) { c.raw("SSH-2.0-x\r\n", 5*time.Second, false) }},
	{name: "no common key exchange", server: "info", do: func(c client) { c.ssh("root", "", "KexAlgorithms diffie-hellman-group1-sha1") }},
	{name: "no common cipher", server: "info", do: func(c client) { c.ssh("root", "", "Ciphers 3des-cbc") }},
}

// stacked are logins that pam_unix refuses and another module accepts, and guesses in that stack.
var stacked = []scenario{
	{name: "directory", server: "info", do: inDirectory("password", "remoteuser", directorySecret)},
	{name: "directory in a dialog", server: "info", do: inDirectory("keyboard-interactive", "remoteuser", directorySecret)},
	{name: "directory in a dialog at VERBOSE", server: "verbose", do: inDirectory("keyboard-interactive", "remoteuser", directorySecret)},
	{name: "directory in a dialog at DEBUG", server: "debug", do: inDirectory("keyboard-interactive", "remoteuser", directorySecret)},
	{name: "directory at ERROR", server: "error", do: inDirectory("password", "remoteuser", directorySecret)},
	{name: "directory at QUIET", server: "quiet", do: inDirectory("password", "remoteuser", directorySecret)},
	{name: "directory in a dialog at QUIET", server: "quiet", do: inDirectory("keyboard-interactive", "quietremote", directorySecret)},
	{name: "directory, wrong 3", server: "info", do: inDirectory("password", "remoteuser", "x"), guesses: 3},
	{name: "directory, wrong 3 in a dialog", server: "info", do: inDirectory("keyboard-interactive", "remoteuser", "x"), guesses: 3},
	{name: "directory, wrong 3 in a dialog at VERBOSE", server: "verbose", do: inDirectory("keyboard-interactive", "remoteuser", "x"), guesses: 3},
}

func login(method, user string) func(client) {
	return func(c client) { c.ssh(user, secret, methods(method, 1)) }
}

func inDirectory(method, user, password string) func(client) {
	return func(c client) { c.ssh(user, password, methods(method, 3)) }
}

// slip mistypes the password and then uses the key.
func slip(method string) func(client) {
	return func(c client) {
		c.ssh("exuser", "wrong", methods(method+",publickey", 1), "IdentitiesOnly yes", "IdentityFile "+c.s.keys[4])
	}
}

// keys tries four unknown keys.
func keys(user string) func(client) {
	return func(c client) {
		config := []string{methods("publickey", 0), "IdentitiesOnly yes"}
		for _, key := range c.s.keys[:4] {
			config = append(config, "IdentityFile "+key)
		}
		c.ssh(user, "", config...)
	}
}

// agent logs in with an agent that offers four wrong keys first.
func agent(user string) func(client) {
	return func(c client) {
		socket := filepath.Join(c.s.folder, "agent"+c.Addr.String())
		// The agent lives as long as this shell, and the shell as long as its input.
		cmd := exec.CommandContext(c.t.Context(), "ssh-agent", "-a", socket, "sh", "-c", `ssh-add -q "$@" && echo ready && cat`, "-")
		cmd.Args = append(cmd.Args, c.s.keys...)
		input, err := cmd.StdinPipe()
		output, err2 := cmd.StdoutPipe()
		if err := errors.Join(err, err2); err != nil {
			c.t.Error(err)
			return
		}
		if err := cmd.Start(); err != nil {
			c.t.Error(err)
			return
		}
		if said, err := bufio.NewReader(output).ReadString('\n'); said != "ready\n" {
			c.t.Errorf("the agent says %q, %v", said, err)
		}
		c.ssh(user, "", methods("publickey", 0), "IdentityAgent "+socket, "IdentityFile none")
		if err := errors.Join(input.Close(), cmd.Wait()); err != nil {
			c.t.Errorf("end the agent: %v", err)
		}
	}
}

// penalised guesses once, and comes back to a server that no longer listens to it.
func penalised(c client) {
	guesses("password", "exuser", 1)(c)
	for range 3 {
		c.raw("", time.Second, false)
	}
}

// TestCounting: real clients guess at real servers, and every guess is counted once: for existing and unknown users, with
// each method, at each log level, with and without PAM. A client that logs in at last has made no attempts.
func TestCounting(t *testing.T) {
	t.Parallel()
	s := bootSSHDs(t)
	done := s.play(t, append(matrix(), others...))
	s.put(t, "/etc/pam.d/sshd", "0644", directory)
	done = append(done, s.play(t, stacked)...)
	s.check(t, done)
	if *record != "" {
		s.record(t, done)
	}
}

// played is a scenario with the address that it came from.
type played struct {
	scenario
	from netip.Addr
}

// play plays every scenario with a client of its own.
func (s *sshds) play(t *testing.T, scenarios []scenario) (done []played) {
	t.Helper()
	var clients []func()
	for _, sc := range scenarios {
		if !s.has(t, sc.server) {
			continue
		}
		c := s.client(t, sc.family, sc.server)
		done = append(done, played{sc, c.Addr})
		clients = append(clients, func() { sc.do(c) })
	}
	together(clients)
	return done
}

// check compares what exilectl match and the daemon counted with what was done.
func (s *sshds) check(t *testing.T, done []played) {
	t.Helper()
	attempts := map[netip.Addr]int{}
	for _, m := range s.match(t) {
		attempts[m.Address] += m.Attempts
	}
	want := map[string]int{}
	for _, d := range done {
		if got := attempts[d.from]; got != d.counted() {
			t.Errorf("%s: exilectl match counts %d attempts, want %d", d.name, got, d.counted())
		}
		if d.counted() > 0 && !d.slips && d.atOnce() {
			want[d.from.String()] = d.counted()
		}
	}
	for _, output := range outputs {
		got := map[netip.Addr]int{}
		for _, m := range s.matchOutput(t, output) {
			got[m.Address] += m.Attempts
		}
		for _, d := range done {
			if got[d.from] != attempts[d.from] {
				t.Errorf("%s: exilectl match counts %d attempts in journalctl -o %s, want %d", d.name, got[d.from], output, attempts[d.from])
			}
		}
	}
	t.Logf("%d connections", len(done))
	ctx := limit(t, patience)
	for {
		got := s.failures(t, done)
		if maps.Equal(want, got) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the daemon counts (-want +got):\n%s", cmp.Diff(want, got))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// failures returns what the daemon counted in the scenarios that it counts at once.
func (s *sshds) failures(t *testing.T, done []played) map[string]int {
	t.Helper()
	failing, err := s.List(t.Context(), "list-failures")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for p, row := range failing {
		for _, d := range done {
			if d.atOnce() && p.Contains(d.from) {
				counts[d.from.String()] = row.Failures
			}
		}
	}
	return counts
}
