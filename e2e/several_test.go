package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// nginxLogs writes nginx's configuration with failures in the journal and these access logs.
const nginxLogs = "printf 'bob:{PLAIN}right\\n' >/etc/nginx/passwd && chmod 644 /etc/nginx/passwd && " +
	"printf '%%s\\n' 'events {}' 'error_log syslog:server=unix:/dev/log,nohostname;' 'http { server { listen 80; listen [::]:80; " +
	"access_log %s; auth_basic x; auth_basic_user_file passwd; root /usr/share; } }' >/etc/nginx/nginx.conf && systemctl restart nginx"

// TestSeveralFilters: one jail counts what an address tries at two services, of which one logs to the journal, and begins to write a log while
// exiled runs: that is read from then on, without a reload and without counting twice what is in both. The ban closes the ports of both
// services and no other. A line in the one service's log with the other's words is nobody's.
func TestSeveralFilters(t *testing.T) {
	t.Parallel()
	g := off(t, config("nftables")+"  both: {filter: [vsftpd, nginx-http-auth], maxretry: 5}\n")
	inside(t, g, "sh", "-ec", unpackFTP+"; "+startFTP+"; rm -rf /var/log/nginx; install -d /var/log/nginx; "+fmt.Sprintf(nginxLogs, "off"))
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	waitStatus(t, g, 0)
	const addr = "198.51.100.77"
	a := attacker(t, g, addr)
	failing := func(n int) func() bool {
		return func() bool {
			for line := range strings.Lines(inside(t, g, "exilectl", "list-failures", "both")) {
				if f := strings.Fields(line); len(f) > 2 && f[0] == addr {
					return f[2] == fmt.Sprint(n)
				}
			}
			return false
		}
	}
	refused(t, a, guessFTP)
	refused(t, a, guessHTTP)
	eventually(t, "two attempts in the journal", failing(2))

	inside(t, g, "sh", "-ec", fmt.Sprintf(nginxLogs, "/var/log/nginx/access.log"))
	within(t, patience, "the log is read", func() bool {
		return strings.Contains(inside(t, g, "journalctl", "-b", "-u", "exiled", "-o", "cat"), "logs=true")
	})
	refused(t, a, guessHTTP) // is in the log and in the journal
	eventually(t, "it counts once", failing(2))
	refused(t, a, guessFTP)
	eventually(t, "the journal is read beside the log", failing(3))
	inside(t, g, "sh", "-ec", `echo 'Mon Nov 30 15:04:05 2026 [pid 4711] [bob] FAIL LOGIN: Client "`+addr+`"' >>/var/log/nginx/access.log`)

	inside(t, g, "sh", "-ec", "cd /var/log/nginx; mv access.log access.log.1; nginx -s reopen")
	refused(t, a, guessHTTP)
	eventually(t, "the log is read after its rotation", failing(4))
	waitStatus(t, g, 0)
	_ = untilBanned(t, g, a, func(ctx context.Context) error { return guessHTTP(ctx, a) }) // the ban may be faster than the answer
	ban, err := g.WaitBan(limit(t, patience), netip.MustParseAddr(addr), 1)
	if err != nil || ban.Jail != "both" || ban.Failures != 5 {
		t.Fatalf("ban %+v, %v\n%s", ban, err, inside(t, g, "journalctl", "-b", "-n", "20"))
	}
	for _, port := range []uint16{21, 80} {
		if conn, err := a.Dial(limit(t, 3*time.Second), port); err == nil {
			t.Errorf("port %d is open", port)
			_ = conn.Close()
		}
	}
	greeted(t, a)
	if got := inside(t, g, "exilectl", "enable", "vsftpd"); !strings.Contains(got, "lines of the last week read, 2 failures of 1 address.") {
		t.Errorf("enable says %q", got)
	}
}
