package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"exile/e2e/host"
	"exile/e2e/target"
)

// servers are the sshds by name, each with its own configuration.
var servers = map[string]struct {
	port   int
	config string
}{
	"info":           {2201, "LogLevel INFO"},
	"verbose":        {2202, "LogLevel VERBOSE"},
	"debug":          {2203, "LogLevel DEBUG3"},
	"error":          {2204, "LogLevel ERROR"},
	"quiet":          {2205, "LogLevel QUIET"},
	"no PAM":         {2206, "UsePAM no\nPermitEmptyPasswords yes"},
	"no PAM error":   {2207, "UsePAM no\nLogLevel ERROR"},
	"no PAM verbose": {2208, "UsePAM no\nLogLevel VERBOSE\nPermitEmptyPasswords yes"},
	"keys":           {2209, "PasswordAuthentication no\nKbdInteractiveAuthentication no"},
	"allow":          {2210, "AllowUsers root"},
	"tries":          {2211, "MaxAuthTries 2"},
	"grace":          {2212, "LoginGraceTime 3"},
	"no root":        {2213, "PermitRootLogin prohibit-password"},
	"penalties":      {2214, "PerSourcePenalties authfail:30s noauth:30s min:10s"},
	"socket":         {2215, ""}, // systemd starts one for each connection
	"fatal":          {2216, "LogLevel FATAL"},
	"no PAM fatal":   {2217, "UsePAM no\nLogLevel FATAL"},
}

const commonConfig = `HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication yes
KbdInteractiveAuthentication yes
PermitRootLogin yes
UsePAM yes
PrintMotd no
MaxStartups 200
PidFile none
`

const instanceUnit = `[Service]
Type=notify
ExecStart=/usr/sbin/sshd -D -f /etc/ssh/servers/%i
`

const inetdSocket = `[Socket]
ListenStream=2215
Accept=yes
`

const inetdUnit = `[Service]
ExecStart=-/usr/sbin/sshd -i -f /etc/ssh/servers/2215
StandardInput=socket
`

// directory is a stack of PAM modules as with LDAP: users missing from /etc/shadow may be in the directory, played by a
// program here. pam_unix logs "authentication failure" for each of them.
const directory = `auth [success=2 default=ignore] pam_unix.so nullok
auth [success=1 default=ignore] pam_exec.so expose_authtok quiet /usr/local/sbin/directory
auth requisite pam_deny.so
auth required pam_permit.so
account required pam_permit.so
session required pam_unix.so
`

const (
	secret          = "a known secret"
	directorySecret = "in the directory"
	directoryLookup = "#!/bin/sh\n[ \"$(tr -d '\\0')\" = '" + directorySecret + "' ]\n"
)

// sshds is a host with many servers, and everything that the clients need.
type sshds struct {
	*target.Target
	keys   []string // private keys; the last one is exuser's
	next   byte     // the last byte of the next attacker's address
	folder string
}

// bootSSHDs boots a host on which all servers run and nobody is banned.
func bootSSHDs(t *testing.T) *sshds {
	t.Helper()
	s := &sshds{Target: boot(t, "jails:\n  sshd:\n    maxretry: 1000\n    findtime: 1h\n    units: [sshd-e2e@*.service, inetd-e2e@*.service]\n"), folder: t.TempDir()}
	s.put(t, "/etc/systemd/system/sshd-e2e@.service", "0644", instanceUnit)
	s.put(t, "/etc/systemd/system/inetd-e2e.socket", "0644", inetdSocket)
	s.put(t, "/etc/systemd/system/inetd-e2e@.service", "0644", inetdUnit)
	s.put(t, "/usr/local/sbin/directory", "0755", directoryLookup)
	inside(t, s.Target, "rm", "-f", "/etc/ssh/ssh_host_ed25519_key.pub") // it belongs to another key, the server says each time
	start := []string{"systemctl", "start", "inetd-e2e.socket"}
	for name, server := range servers {
		if !s.has(t, name) {
			continue
		}
		s.put(t, fmt.Sprintf("/etc/ssh/servers/%d", server.port), "0644", s.config(t, name))
		if name != "socket" {
			start = append(start, fmt.Sprintf("sshd-e2e@%d.service", server.port))
		}
	}
	s.users(t)
	inside(t, s.Target, "systemctl", "daemon-reload")
	inside(t, s.Target, start...)
	return s
}

func (s *sshds) put(t *testing.T, path, mode, text string) {
	t.Helper()
	if _, err := s.Feed(t.Context(), text, "install", "-D", "-m", mode, "/dev/stdin", path); err != nil {
		t.Fatal(err)
	}
}

func (s *sshds) config(t *testing.T, name string) string {
	t.Helper()
	text := fmt.Sprintf("Port %d\n%s\n%s", servers[name].port, servers[name].config, commonConfig)
	if name != "penalties" && s.has(t, "penalties") {
		text += "PerSourcePenalties no\n"
	}
	return text
}

// has reports whether the host's sshd can run that server: penalties came with OpenSSH 9.8.
func (s *sshds) has(t *testing.T, name string) bool {
	t.Helper()
	if name != "penalties" {
		return true
	}
	program, err := os.ReadFile(s.Path("/usr/sbin/sshd"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(program, []byte("persourcepenalties"))
}

// users makes the accounts: exuser with a password and a key; quietuser with a password, for servers whose log does not say
// where a login came from, so that the login excuses nobody else; locked; and two users of the directory.
func (s *sshds) users(t *testing.T) {
	t.Helper()
	for name, password := range map[string]string{
		"exuser": secret, "quietuser": secret, "locked": secret, "remoteuser": "not that one", "quietremote": "not that one",
	} {
		if err := s.AddUser(t.Context(), name, password); err != nil {
			t.Fatal(err)
		}
	}
	inside(t, s.Target, "usermod", "--lock", "locked")
	for n := range 5 {
		s.keys = append(s.keys, filepath.Join(s.folder, "key"+strconv.Itoa(n)))
		keygen(t, "-t", "ed25519", "-N", "", "-f", s.keys[n])
	}
	public, err := os.ReadFile(s.keys[4] + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, "/home/exuser/.ssh/authorized_keys", "0644", string(public))
}

func keygen(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ssh-keygen", append([]string{"-q"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %q: %v: %s", args, err, out)
	}
}

// client is one attacker before one server.
type client struct {
	*host.Attacker
	t      *testing.T
	s      *sshds
	server string
}

func (c client) port() int { return servers[c.server].port }

// The families of clients.
const (
	inet = iota
	inet6
	onWire // IPv6, link-local
)

// client returns the next client of a family, which attacks that server.
func (s *sshds) client(t *testing.T, family int, server string) client {
	t.Helper()
	s.next++
	addr := netip.AddrFrom4([4]byte{198, 51, 100, s.next})
	switch family {
	case inet6:
		addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:bad:%x::7", s.next))
	case onWire:
		addr = netip.MustParseAddr(fmt.Sprintf("fe80::1%02x", s.next))
	}
	return client{attacker(t, s.Target, addr.String()), t, s, server}
}

// ssh runs OpenSSH's client with lines of ssh_config(5) and answers its questions. The log says what came of it.
func (c client) ssh(user, password string, config ...string) {
	c.t.Helper()
	file, err := os.CreateTemp(c.s.folder, "config")
	if err != nil {
		c.t.Error(err)
		return
	}
	config = append(config, "Port "+strconv.Itoa(c.port()), "User "+quoted(user))
	if _, err := file.WriteString(strings.Join(config, "\n") + "\n"); err != nil {
		c.t.Error(err)
	}
	if err := file.Close(); err != nil {
		c.t.Error(err)
	}
	// Many servers starting at once take their time on a busy machine.
	_, _ = c.SSH(limit(c.t, 5*time.Minute), []string{"-F", file.Name(), "-o", "ConnectTimeout=60"}, password, "true")
}

// quoted is an argument as ssh_config(5) wants it.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func methods(names string, prompts int) string {
	return fmt.Sprintf("PreferredAuthentications %s\nNumberOfPasswordPrompts %d", names, prompts)
}

// raw connects without ssh, says something and listens for that long unless the server ends it first. Then it closes the
// connection, or resets it.
func (c client) raw(said string, listen time.Duration, reset bool) {
	c.t.Helper()
	conn, err := c.Dial(c.t.Context(), uint16(c.port()))
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte(said)) // the server may have hung up
	if err := conn.SetReadDeadline(time.Now().Add(listen)); err != nil {
		c.t.Error(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the deadline
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
}

// matched is a line of exilectl match.
type matched struct {
	Address  netip.Addr
	Rule     string
	Attempts int
}

// outputs are the journalctl formats that exilectl match reads.
var outputs = []string{
	"short", "short-full", "short-iso", "short-iso-precise", "short-precise", "short-unix", "short-monotonic", "short-delta", "with-unit",
	"json", "json-pretty", "json-seq", "export",
}

// match makes exilectl read the log of all sshds, and returns the lines that name an address.
func (s *sshds) match(t *testing.T, options ...string) (lines []matched) {
	t.Helper()
	inside(t, s.Target, "journalctl", "--sync")
	return s.matchOutput(t, "short-iso-precise", options...)
}

// matchOutput is match for that output format of journalctl.
func (s *sshds) matchOutput(t *testing.T, output string, options ...string) (lines []matched) {
	t.Helper()
	log := inside(t, s.Target, "journalctl", "-b", "-a", "-o", output, "-t", "sshd", "-t", "sshd-session", "-t", "sshd-auth")
	command := append([]string{"exilectl", "match", "--json=short"}, options...)
	out, err := s.Feed(limit(t, patience), log+"\n\n", command...) // inside cut the newlines off, and an export ends with them
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		var m matched
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if m.Address.IsValid() {
			lines = append(lines, m)
		}
	}
	return lines
}

// together runs many clients at once: mostly they wait for PAM, which delays its answers.
func together(clients []func()) {
	var group errgroup.Group
	group.SetLimit(24)
	for _, run := range clients {
		group.Go(func() error {
			run()
			return nil
		})
	}
	_ = group.Wait() // they return nil
}
