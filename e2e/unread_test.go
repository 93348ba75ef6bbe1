package e2e

import (
	"strings"
	"testing"

	"exile/e2e/host"
)

// TestUnreadableJournal: a daemon that may not read the journal, or finds none, keeps the bans, answers, says what helps as
// long as that lasts, and then continues where it was.
func TestUnreadableJournal(t *testing.T) {
	t.Parallel()
	g := boot(t, config("nftables"))
	kept, lifted, missed := attacker(t, g, "198.51.100.81"), attacker(t, g, "198.51.100.82"), attacker(t, g, "198.51.100.83")
	for _, a := range []*host.Attacker{kept, lifted} {
		inside(t, g, "exilectl", "ban", "--duration=1h", a.Addr.String())
	}
	for what, c := range map[string]struct{ spoil, remedy, mend string }{
		// The result of "mkdir /var/log/journal; systemctl restart systemd-journald".
		"of root": {
			"chown -R root:root /var/log/journal; find /var/log/journal -type f -exec chmod 640 {} +; find /var/log/journal -type d -exec chmod 755 {} +",
			"systemd-tmpfiles --create --prefix /var/log/journal", "systemd-tmpfiles --create --prefix /var/log/journal",
		},
		"of another id": {
			"cp /etc/machine-id /etc/was; echo 0123456789abcdef0123456789abcdef >/etc/machine-id", "/etc/machine-id", "cp /etc/was /etc/machine-id",
		},
		"of no id": {"mv /etc/machine-id /etc/was", "/etc/machine-id", "mv /etc/was /etc/machine-id"},
		"none":     {"mv /var/log/journal /var/log/elsewhere", "Storage=", "mv /var/log/elsewhere /var/log/journal"},
	} {
		inside(t, g, "sh", "-ec", c.spoil)
		inside(t, g, "systemctl", "restart", "exiled.service")
		said := waitStatus(t, g, 3)
		for _, words := range []string{"source-failed", c.remedy} {
			if !strings.Contains(said, words) {
				t.Errorf("%s: the status does not say %q:\n%s", what, words, said)
			}
		}
		silent(t, kept)
		inside(t, g, "exilectl", "unban", lifted.Addr.String())
		greeted(t, lifted)
		inside(t, g, "exilectl", "ban", "--duration=1h", lifted.Addr.String())
		guess(t, missed, 1) // which nobody sees now
		inside(t, g, "sh", "-ec", c.mend)
		within(t, patience, what+": it is read again", func() bool {
			_, err := g.Run(limit(t, patience), "exilectl", "status")
			return err == nil
		})
		if starts := inside(t, g, "systemctl", "show", "-p", "NRestarts", "--value", "exiled.service"); starts != "0" {
			t.Errorf("%s: exiled was started again %s times", what, starts)
		}
	}
	banned(t, g, missed, 1) // one guess each time
}

// TestByHand: a host without an enabled jail bans by hand, and a ban outlives its jail.
func TestByHand(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails: {sshd: {enabled: no}}\n")
	a := attacker(t, g, "198.51.100.84")
	waitStatus(t, g, 0)
	guess(t, a, 6)
	greeted(t, a)
	inside(t, g, "exilectl", "ban", a.Addr.String())
	silent(t, a)
	feed(t, g, config("nftables"), "/etc/exile/exile.yaml")
	inside(t, g, "systemctl", "restart", "exiled.service")
	silent(t, a)
	if list := inside(t, g, "exilectl", "list-bans"); !strings.Contains(list, "sshd") {
		t.Errorf("the ban is not the first jail's:\n%s", list)
	}
	inside(t, g, "exilectl", "unban", a.Addr.String())
	greeted(t, a)
}
