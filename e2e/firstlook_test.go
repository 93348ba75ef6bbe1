package e2e

import (
	"strings"
	"testing"
)

// TestFirstStart: the first start bans the attackers found in the log, and says so; a flush undoes it.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	g := off(t, "backend: nftables\njails:\n  sshd: {detection: adaptive}\n")
	a, b := attacker(t, g, "203.0.113.61"), attacker(t, g, "192.0.2.63")
	guess(t, a, 6)
	guess(t, b, 1)
	inside(t, g, "systemd-sysusers")
	inside(t, g, "systemctl", "daemon-reload")
	inside(t, g, "systemctl", "enable", "--now", "exiled")
	if _, err := g.WaitBan(limit(t, patience), a.Addr, 1); err != nil {
		t.Fatal(err)
	}
	const said = "banned 1 address from the log of the last 1h; exilectl flush takes it back"
	eventually(t, "the status says it", func() bool {
		return strings.Contains(inside(t, g, "exilectl", "status", "-n0"), "Notice: "+said)
	})
	says(t, g, "First look: "+said)
	inside(t, g, "exilectl", "flush")
	if got := inside(t, g, "exilectl", "status", "-n0"); strings.Contains(got, "Notice") {
		t.Errorf("after a flush the status says %q", got)
	}
	greeted(t, a)
	inside(t, g, "systemctl", "restart", "exiled")
	if got := inside(t, g, "exilectl", "status", "-n0"); strings.Contains(got, "Notice") {
		t.Errorf("the second start is called the first: %q", got)
	}
	greeted(t, a)
}
