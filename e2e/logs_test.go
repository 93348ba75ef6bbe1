package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"exile/e2e/target"
)

// askLogs sends a path to the helper that opens logs, and prints the errno that it answers, "-" if it hangs up, or why it was not reached.
const askLogs = `perl -e 'socket(S, 1, 5, 0) && connect(S, pack("S a108", 1, "/run/exile/logs")) or print($! + 0, " from connect\n"), exit;
	send(S, $ARGV[0], 0); defined recv(S, $b, 1, 0) && length $b or print("-\n"), exit; print ord($b), "\n"' -- `

// TestLogs: exiled reads logs that only root may read, in open folders and closed ones, and through a rotation, without a manual step and
// without rights. Its user gets nothing else from the helper, and nothing once the jail is disabled; others get nothing at all.
func TestLogs(t *testing.T) {
	t.Parallel()
	jail := func(name, enabled string) string {
		return fmt.Sprintf("  %s: {enabled: %s, filter: vsftpd, maxretry: 3, logpath: [/var/log/%[1]s/*.log]}\n", name, enabled)
	}
	g := off(t, config("nftables")+jail("web", "true")+jail("shut", "true"))
	inside(t, g, "sh", "-ec", "umask 077; cd /var/log; install -d -m 755 web; install -d -m 700 shut; "+
		"touch web/a.log shut/a.log; echo secret >web/a.txt")
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	waitStatus(t, g, 0)
	failedFTP(t, g, "web", "198.51.100.71", "a.log", "a.log", "a.log")
	failedFTP(t, g, "shut", "198.51.100.72", "a.log", "a.log", "a.log")
	for n, name := range []string{"web", "shut"} {
		addr := fmt.Sprintf("203.0.113.7%d", n)
		guessedFTP(t, g, name, addr, "a.log", "a.log")
		inside(t, g, "sh", "-ec", "umask 077; cd /var/log/"+name+"; mv a.log a.log.1; touch a.log")
		failedFTP(t, g, name, addr, "a.log")
	}
	inside(t, g, "systemctl", "restart", "exiled.service")
	failedFTP(t, g, "web", "198.51.100.73", "b.log", "b.log", "b.log")
	failedFTP(t, g, "shut", "198.51.100.74", "b.log", "b.log", "b.log")
	waitStatus(t, g, 0)

	inside(t, g, "ln", "-s", "/etc/shadow", "/var/log/web/link.log")
	const exile, nobody = "runuser -u exile -- ", "runuser -u nobody -- "
	answers(t, g, exile, map[string]unix.Errno{
		"/var/log/web/a.log": 0, "/var/log/shut/a.log.1": 0, "/var/log/shut": 0, "/etc/shadow": unix.EACCES, "/var/log/web/a.txt": unix.EACCES,
		"/var/log/web/../../../etc/shadow": unix.EACCES, "/etc": unix.EACCES, "/var/log": unix.EACCES, "/root": unix.EACCES,
		"/nowhere":              unix.EACCES,
		"/var/log/web/link.log": unix.ELOOP, "/proc/1/environ": unix.EACCES, "/dev/kmsg": unix.EACCES,
	})
	for _, other := range []string{nobody, ""} { // root has no use for it, and is not exile
		want := map[string]string{nobody: "13 from connect", "": "-"}[other]
		if got := inside(t, g, "sh", "-c", other+askLogs+"/var/log/web/a.log"); got != want {
			t.Errorf("%q is answered %q, want %q", other, got, want)
		}
	}
	feed(t, g, config("nftables")+jail("web", "false")+jail("shut", "true"), "/etc/exile/exile.yaml")
	answers(t, g, exile, map[string]unix.Errno{"/var/log/web/a.log": unix.EACCES, "/var/log/shut/a.log": 0})
	inside(t, g, "systemd-analyze", "security", "--no-pager", "--threshold=11", "exiled-logs.service")
	inside(t, g, "systemctl", "stop", "exiled.service")
	eventually(t, "the helper ends with exiled", func() bool {
		return inside(t, g, "systemctl", "show", "-P", "ActiveState", "exiled-logs.service") == "inactive"
	})
}

// answers asks the helper as somebody, and compares its answers.
func answers(t *testing.T, g *target.Target, as string, want map[string]unix.Errno) {
	t.Helper()
	for path, errno := range want {
		if got := inside(t, g, "sh", "-c", as+askLogs+path); got != strconv.Itoa(int(errno)) {
			t.Errorf("asked for %s the helper answers %q, want %d", path, got, errno)
		}
	}
}

// guessedFTP appends to the logs of a jail, one after another, what vsftpd writes about a wrong password.
func guessedFTP(t *testing.T, g *target.Target, jail, addr string, logs ...string) {
	t.Helper()
	for _, log := range logs {
		inside(t, g, "sh", "-ec", fmt.Sprintf(
			`umask 077; echo "$(LC_ALL=C date '+%%a %%b %%e %%T %%Y') [pid 7] [bob] FAIL LOGIN: Client \"%s\"" >>/var/log/%s/%s`, addr, jail, log))
	}
}

// failedFTP does that until the address is banned.
func failedFTP(t *testing.T, g *target.Target, jail, addr string, logs ...string) {
	t.Helper()
	a := attacker(t, g, addr)
	guessedFTP(t, g, jail, addr, logs...)
	ban, err := g.WaitBan(limit(t, patience), a.Addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ban.Jail != jail || ban.Failures != 3 {
		t.Errorf("%s is banned by jail %q after %d attempts", addr, ban.Jail, ban.Failures)
	}
	if said := inside(t, g, "exilectl", "status", "--lines=0"); strings.Contains(said, "degraded") {
		t.Errorf("exiled is not well:\n%s", said)
	}
}
