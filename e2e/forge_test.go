package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForgedLines: an unprivileged local user writes perfect sshd lines in every way open to local users, and bans nobody.
func TestForgedLines(t *testing.T) {
	t.Parallel()
	g := boot(t, config("auto"))
	if err := g.AddUser(t.Context(), "mallory", "a known secret"); err != nil {
		t.Fatal(err)
	}
	shell := attacker(t, g, "203.0.113.5")
	for victim, write := range map[string]string{
		"203.0.113.61": `logger -t sshd -p auth.info -- "$line"`,
		"203.0.113.62": `logger -t sshd --id=1 -p authpriv.info -- "$line"`,
		"203.0.113.63": `cp /usr/bin/logger ~/sshd && ~/sshd -t sshd -- "$line"`,
		"203.0.113.64": `cp /bin/cat ~/sshd-session && printf '<38>sshd[77]: %s' "$line" | systemd-cat -t sshd ~/sshd-session`,
		"203.0.113.65": `printf 'SYSLOG_IDENTIFIER=sshd\n_SYSTEMD_UNIT=ssh.service\n_UID=0\n_COMM=sshd\nMESSAGE=%s\n' "$line" | logger --journald`,
		"203.0.113.66": `systemd-run --user --wait -q --unit=ssh.service --property=SyslogIdentifier=sshd /bin/echo "$line"`,
		"203.0.113.67": `systemd-run --user --wait -q --unit=sshd@1.service /usr/bin/logger -t sshd "$line"`,
		// Root of a user namespace, who is nobody in ours.
		"203.0.113.68": `unshare --user --map-root-user --mount --pid --fork bash -c 'exec -a sshd logger -t sshd -- "$0"' "$line"`,
		// The protocols of syslog and journald, with every field that they can carry.
		"203.0.113.69": send("/dev/log", `"<38>Jan  1 00:00:00 sshd[1]: $line"`),
		"203.0.113.70": send("/run/systemd/journal/socket", `join("\n", "SYSLOG_IDENTIFIER=sshd", "SYSLOG_PID=1", "PRIORITY=6",
			"_PID=1", "_UID=0", "_GID=0", "_TRANSPORT=syslog", "_EXE=/usr/sbin/sshd", "_SYSTEMD_CGROUP=/system.slice/ssh.service", "UNIT=ssh.service",
			"OBJECT_PID=1", "_SYSTEMD_UNIT\n" . pack("Q<", 11) . "ssh.service", "MESSAGE\n" . pack("Q<", length $line) . $line, "")`),
		"203.0.113.71": `systemd-run --user --scope -q --unit=ssh$n.scope --slice=ssh logger -t sshd -- "$line"`,
		// Programs that run as root under the name of sshd: su logs the name that it was called by.
		"203.0.113.72": `logger -t sshd -- "$line"; [ "$n" != 1 ] || for program in su gpasswd newgrp passwd chfn chsh mount umount; do
			echo "$line" | timeout 5 bash -c 'exec -a sshd "$@"' sh "/usr/bin/$program" root >/dev/null 2>&1 &
		done; wait`,
		// The name may hold more than a name: here the whole line, with the prefix that syslog puts before it.
		"203.0.113.73": `echo x | timeout 60 bash -c 'exec -a "sshd[$$]: $0" su root' "$line" >/dev/null 2>&1 & [ "$n" != 5 ] || wait`,
	} {
		script := fmt.Sprintf(`for n in 1 2 3 4 5; do line="Failed password for root from %s port 4${n}22 ssh2"; %s; done`, victim, write)
		if _, err := shell.Login(t.Context(), "mallory", "a known secret", script); err != nil {
			t.Errorf("write with %q: %v", write, err)
		}
	}
	inside(t, g, "journalctl", "--sync")
	log := inside(t, g, "journalctl", "-b", "-o", "cat")
	for n := 61; n <= 73; n++ {
		if line := fmt.Sprintf("Failed password for root from 203.0.113.%d port 4522 ssh2", n); !strings.Contains(log, line) {
			t.Errorf("the journal lacks %q: nothing was tested", line)
		}
	}
	said, line := inside(t, g, "journalctl", "-b", "-o", "cat", "-t", "sshd", "_COMM=su"), "Failed password for root from 203.0.113.73 port 4522 ssh2: pam_unix(su:auth)"
	if !strings.Contains(said, line) {
		t.Errorf("su does not speak as sshd: %q", said)
	}
	// A real attack follows all of that in the journal: once it is banned, the forged lines have been read.
	a := attacker(t, g, "198.51.100.7")
	guess(t, a, 3)
	lastGuess(t, g, a)
	banned(t, g, a, 1)
	got, err := g.Banned(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"198.51.100.7/32"}, text(got)); diff != "" {
		t.Errorf("banned (-want +got):\n%s", diff)
	}
	failing, err := g.List(t.Context(), "list-failures")
	if err != nil {
		t.Fatal(err)
	}
	for p := range failing {
		t.Errorf("%s has failures: a forged line was counted", p)
	}
}

// send is a script that sends a datagram, given as a Perl expression.
func send(socket, datagram string) string {
	return `line="$line" perl -MSocket -e 'my $line = $ENV{line}; socket(S, AF_UNIX, SOCK_DGRAM, 0) && connect(S, sockaddr_un("` + socket + `")) &&
		defined(send(S, ` + datagram + `, 0)) or die $!'`
}

func text(prefixes []netip.Prefix) []string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return out
}
