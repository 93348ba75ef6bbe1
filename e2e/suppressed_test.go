package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"exile/e2e/target"
)

// TestSuppressed: journald drops nothing of a flood of lines of the service that brings our drop-in, though it is more than it takes
// from others. Where an administrator's drop-in lets it drop lines the status says so, and that the jail may have missed some.
func TestSuppressed(t *testing.T) {
	t.Parallel()
	g := boot(t, config("nftables"))
	inside(t, g, "sh", "-c", "sed -i /RateLimit/d /etc/systemd/journald.conf.d/e2e.conf && systemctl restart systemd-journald")
	const lines = 60_000 // journald's own limit is 10,000 in 30 s, and five times as many where 60 GB are free
	logAsSSH(t, g, lines, "shipped")
	eventually(t, "journald has written every line", func() bool { return logged(t, g, "shipped") == lines })
	waitStatus(t, g, 0)

	feed(t, g, "[Service]\nLogRateLimitIntervalSec=2s\nLogRateLimitBurst=20\n", "/etc/systemd/system/ssh.service.d/60-few.conf")
	inside(t, g, "sh", "-c", "systemctl daemon-reload && systemctl restart ssh.service")
	logAsSSH(t, g, lines, "limited")
	eventually(t, "journald says that it drops lines", func() bool {
		logAsSSH(t, g, 1, "again") // it says so with the first line of the next interval
		return inside(t, g, "sh", "-c", "journalctl -q --no-pager --output=cat -g 'Suppressed .* ssh.service' | head -1") != ""
	})
	if n := logged(t, g, "limited"); n >= lines {
		t.Fatalf("journald dropped none of %d lines", n)
	}
	if said := waitStatus(t, g, 3); !strings.Contains(said, "journal-suppressed") || !strings.Contains(said, "LogRateLimitBurst=1000000") {
		t.Errorf("the status says\n%s", said)
	}
}

// logAsSSH logs so many lines as a process of ssh.service does.
func logAsSSH(t *testing.T, g *target.Target, n int, word string) {
	t.Helper()
	inside(t, g, "sh", "-c", fmt.Sprintf(`echo $$ >/sys/fs/cgroup$(systemctl show -P ControlGroup ssh.service)/cgroup.procs
		seq %d | sed 's/^/Server listening: %s /' | logger -t sshd -p auth.info`, n, word))
}

// logged is how many of these lines the journal has.
func logged(t *testing.T, g *target.Target, word string) int {
	t.Helper()
	out := inside(t, g, "sh", "-c", "journalctl -q --no-pager -u ssh.service --output=cat -g 'Server listening: "+word+"' | wc -l")
	n, err := strconv.Atoi(out)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
