package e2e

import (
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestNotRoot: an attacker who has taken over the daemon gets no further, with the units exactly as shipped. Files that an
// older version left to its user become root's again; root follows no link of that user, and writes what the administrator
// entered, not what the daemon says; logind starts no manager outside the sandbox; the kernel gives it no io_uring.
func TestNotRoot(t *testing.T) {
	t.Parallel()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	g, err := target.Shipped(limit(t, patience), *root, tree, map[string]string{"/etc/exile/exile.yaml": "backend: nftables\n"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { done(t, g) })
	const exile, cron = "runuser -u exile -- ", "/etc/cron.d/exile-e2e"
	inside(t, g, "sh", "-ec", "systemd-sysusers exile.conf; mkdir -p /etc/cron.d /etc/exile/exile.yaml.d; chown -R exile: /etc/exile; "+
		exile+"ln -s "+cron+" /etc/exile/exile.yaml.d/link.yaml; "+exile+"touch /etc/exile/exile.yaml.d/mine.yaml")
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := inside(t, g, "sh", "-c", "find /etc/exile -user exile -o -type l; stat -c %U:%G:%a /etc/exile"); got != "root:root:755" {
		t.Errorf("left in /etc/exile: %q", got)
	}
	inside(t, g, "systemctl", "restart", "exiled.service")
	if got, err := g.Run(t.Context(), "sh", "-c", exile+"touch /etc/exile/new.yaml 2>&1"); err == nil {
		t.Errorf("the daemon's user writes to /etc/exile: %s", got)
	}

	feed(t, g, "backend: nftables\nmaxretry: 4\n", "/root/tried.yaml")
	inside(t, g, "sh", "-ec", "chown exile /etc/exile; rm /etc/exile/exile.yaml; "+exile+"ln -s "+cron+" /etc/exile/exile.yaml")
	for _, command := range []string{
		"exilectl apply /root/tried.yaml", "exilectl apply --confirm=60s /root/tried.yaml && exilectl confirm", "exilectl confirm /root/tried.yaml",
	} {
		if said, err := g.Run(limit(t, patience), "sh", "-c", command+" 2>&1"); err == nil || !strings.Contains(said, "is not only root's") {
			t.Errorf("%s: %v, %q", command, err, said)
		}
	}
	if _, err := g.Run(t.Context(), "test", "-e", cron); err == nil {
		t.Error("root wrote where a link of the daemon's user leads")
	}
	inside(t, g, "sh", "-ec", "rm /etc/exile/exile.yaml; chown root /etc/exile; exilectl apply --confirm=60s /root/tried.yaml; exilectl confirm")
	if got := inside(t, g, "cat", "/etc/exile/exile.yaml"); got != "backend: nftables\nmaxretry: 4" {
		t.Errorf("confirmed is %q", got)
	}

	const call = "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager "
	inside(t, g, "sh", "-c", exile+call+"ListSessions")
	inside(t, g, "sh", "-c", "runuser -u nobody -- "+call+`SetUserLinger ubb "$(id -u nobody)" true false`) // other users may
	if said, err := g.Run(t.Context(), "sh", "-c", exile+call+`SetUserLinger ubb "$(id -u exile)" true false 2>&1`); err == nil ||
		!strings.Contains(said, "ccess denied") {
		t.Errorf("logind lets the daemon's user linger: %v, %q", err, said)
	}
	for _, unit := range []string{"exiled.service", "exiled-accounts.service", "exiled-logs.service"} {
		allowed := strings.Fields(inside(t, g, "systemctl", "show", "--value", "-p", "SystemCallFilter", unit))
		for _, name := range allowed {
			if strings.HasPrefix(name, "io_uring") || name == "bpf" || name == "add_key" {
				t.Errorf("%s may call %s", unit, name)
			}
		}
		if len(allowed) < 50 {
			t.Errorf("the filter of %s is %q", unit, allowed)
		}
	}
	inside(t, g, "systemctl", "enable", "exiled-metrics.socket")
	inside(t, g, "systemctl", "restart", "exiled.service")
	if got := inside(t, g, "bash", "-c", scrape); !strings.Contains(got, "exile_state") {
		t.Errorf("no metrics: %q", got)
	}
}
