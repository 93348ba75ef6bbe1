package e2e

import (
	"strings"
	"testing"
)

// TestAuthLog: where there is no journal, a jail that reads auth.log says what prevents it from reading it and that the log
// can be forged. Without the helper that opens such logs it works with the drop-in that is shipped.
func TestAuthLog(t *testing.T) {
	t.Parallel()
	g := off(t, "journal: /var/log/nowhere\n"+config("ipset")+"    logpath: [/var/log/auth.log]\n    logtimezone: Asia/Kathmandu\n")
	inside(t, g, "install", "-m", "640", "-o", "root", "-g", "adm", "/dev/null", "/var/log/auth.log")
	inside(t, g, "systemctl", "mask", "exiled-logs.socket") // which would open it
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	waitStatus(t, g, 3)
	says(t, g, "/var/log/auth.log: permission denied")

	inside(t, g, "install", "-D", "-m", "644", "/usr/share/doc/exile/examples/auth-log.conf",
		"/etc/systemd/system/exiled.service.d/auth-log.conf")
	inside(t, g, "systemctl", "daemon-reload")
	inside(t, g, "systemctl", "restart", "exiled.service")
	if status := waitStatus(t, g, 0); !strings.Contains(status, "any local user can forge lines") {
		t.Errorf("the status does not say that lines of the log can be forged:\n%s", status)
	}
	says(t, g, "Any local user can forge lines")
	a := attacker(t, g, "198.51.100.61")
	greeted(t, a)
	// Four guesses by a clock in Kathmandu, as BSD's syslogd writes it, and a line whose time cannot be read.
	inside(t, g, "sh", "-c", `now=$(TZ=Asia/Kathmandu date '+%b %e %T'); {
		echo "$now exile sshd[1]: Failed password for root from 198.51.100.61 port 4000 ssh2"
		echo "$now exile last message repeated 3 times"
		echo "yesterday exile sshd[2]: Failed password for root from 198.51.100.62 port 4000 ssh2"
	} >>/var/log/auth.log`)
	banned(t, g, a, 1)
	eventually(t, "the status counts the line without a time", func() bool {
		return strings.Contains(waitStatus(t, g, 0), "1 log line without a readable time")
	})
	silent(t, a)
	// The audit trail of the address, with the catalog's explanation.
	told := inside(t, g, "journalctl", "-q", "-x", "--no-hostname", "EXILE_ADDRESS=198.51.100.61")
	for _, words := range []string{"Banned 198.51.100.61 in jail sshd", "198.51.100.61 has been banned by jail sshd", "exilectl unban 198.51.100.61"} {
		if !strings.Contains(told, words) {
			t.Errorf("the journal does not say %q:\n%s", words, told)
		}
	}
	if got := inside(t, g, "exilectl", "list-bans"); !strings.Contains(got, "file") {
		t.Errorf("the list does not say where the ban came from:\n%s", got)
	}
}

// TestOverToTheJournal: a jail that reads auth.log because exiled may not read the journal switches to the journal by itself
// as soon as exiled may.
func TestOverToTheJournal(t *testing.T) {
	t.Parallel()
	g := off(t, config("nftables")+"    logpath: [/var/log/auth.log]\n")
	inside(t, g, "install", "-m", "644", "/dev/null", "/var/log/auth.log")
	inside(t, g, "sh", "-ec", `chown -R root:root /var/log/journal; find /var/log/journal -type f -exec chmod 640 {} +
		find /var/log/journal -type d -exec chmod 755 {} +`)
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	const warning = "any local user can forge lines"
	if status := waitStatus(t, g, 0); !strings.Contains(status, warning) {
		t.Fatalf("the text log is not read:\n%s", status)
	}
	a := attacker(t, g, "198.51.100.62")
	guess(t, a, 1)
	inside(t, g, "systemd-tmpfiles", "--create", "--prefix", "/var/log/journal")
	eventually(t, "the journal is read", func() bool { return !strings.Contains(inside(t, g, "exilectl", "status", "--lines=0"), warning) })
	counted(t, g, a, 1) // from before
	guess(t, a, 2)
	lastGuess(t, g, a)
	banned(t, g, a, 1)
}

// TestForgedAuthLog: where there is a journal, a local user who writes perfect lines into auth.log through a syslog daemon
// bans nobody, and a real attacker is banned; unless the configuration says to trust the log.
func TestForgedAuthLog(t *testing.T) {
	t.Parallel()
	g := off(t, config("nftables")+"    logpath: [/var/log/auth.log]\n")
	inside(t, g, "install", "-m", "644", "/dev/null", "/var/log/auth.log")
	// A syslog daemon does the same: it writes down anything that calls itself sshd.
	inside(t, g, "systemd-run", "-q", "--unit=syslog-like.service", "sh", "-c",
		"exec journalctl -q -f -n all -o short --no-hostname -t sshd -t sshd-session >>/var/log/auth.log")
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := g.AddUser(t.Context(), "mallory", "a known secret"); err != nil {
		t.Fatal(err)
	}
	victim, attacker := attacker(t, g, "203.0.113.91"), attacker(t, g, "198.51.100.91")
	forge := func() {
		t.Helper()
		inside(t, g, "runuser", "-u", "mallory", "--", "sh", "-c", `for n in 1 2 3 4 5; do
			logger -t sshd -p auth.info -- "Failed password for root from 203.0.113.91 port 4${n}22 ssh2"; done`)
		eventually(t, "the lines are in the text log", func() bool {
			return strings.Contains(inside(t, g, "cat", "/var/log/auth.log"), "203.0.113.91 port 4522")
		})
	}
	forge()
	guess(t, attacker, 3)
	lastGuess(t, g, attacker)
	banned(t, g, attacker, 1) // after the forged lines
	greeted(t, victim)
	if status := waitStatus(t, g, 0); strings.Contains(status, "reads a text log") {
		t.Errorf("the status speaks of a text log that is not read:\n%s", status)
	}
	feed(t, g, config("nftables")+"    logpath: [/var/log/auth.log]\n    trust_logpath: yes\n", "/etc/exile/exile.yaml")
	inside(t, g, "exilectl", "reload")
	forge()
	banned(t, g, victim, 1)
}
