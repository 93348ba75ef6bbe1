package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestAuthLog: a jail that reads auth.log says what keeps it from that, and works with the drop-in that comes along.
func TestAuthLog(t *testing.T) {
	t.Parallel()
	g := off(t, config("ipset")+"    logpath: [/var/log/auth.log]\n")
	inside(t, g, "install", "-m", "640", "-o", "root", "-g", "adm", "/dev/null", "/var/log/auth.log")
	if err := g.Activate(limit(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	waitStatus(t, g, 3)
	if said := g.Log(t.Context()); !strings.Contains(said, "/var/log/auth.log: permission denied") {
		t.Error("exiled does not say that it may not read the log")
	}

	inside(t, g, "install", "-D", "-m", "644", "/usr/share/doc/exile/examples/auth-log.conf",
		"/etc/systemd/system/exiled.service.d/auth-log.conf")
	inside(t, g, "systemctl", "daemon-reload")
	inside(t, g, "systemctl", "restart", "exiled.service")
	waitStatus(t, g, 0)
	if said := g.Log(t.Context()); !strings.Contains(said, "Any local user can forge lines") {
		t.Error("exiled does not say that lines of the log can be forged")
	}
	a := attacker(t, g, "198.51.100.61")
	greeted(t, a)
	inside(t, g, "sh", "-c", `for pid in 1 2 3 4; do
		echo "$(date '+%b %e %T') exile sshd[$pid]: Failed password for root from 198.51.100.61 port 4000 ssh2" >>/var/log/auth.log
	done`)
	banned(t, g, a, 1)
	silent(t, a)
	// The audit trail of the address, with the catalog's explanation.
	told := inside(t, g, "journalctl", "-q", "-x", "--no-hostname", "EXILE_ADDRESS=198.51.100.61")
	for _, words := range []string{"Banned 198.51.100.61 in jail sshd", "198.51.100.61 has been banned by jail sshd", "exilectl unban 198.51.100.61"} {
		if !strings.Contains(told, words) {
			t.Errorf("the journal does not say %q:\n%s", words, told)
		}
	}
	if got := inside(t, g, "exilectl", "list-bans"); !strings.Contains(got, "file") {
		t.Errorf("where the ban came from is not said:\n%s", got)
	}
}
