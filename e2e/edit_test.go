package e2e

import (
	"strings"
	"testing"
)

// TestEdit: an admin edits the configuration like that of a unit; after a mistake the daemon and the file stay as they were.
func TestEdit(t *testing.T) {
	t.Parallel()
	g := boot(t, config("auto"))
	const file = "/etc/exile/exile.yaml"
	got := inside(t, g, "sh", "-c", "EDITOR='sed -i s/maxretry:.4/maxretry:.7/;s/:[.]/:\\x20/' exilectl edit && exilectl status sshd")
	if !strings.Contains(got, "Wrote "+file+", which is in force.") || !strings.Contains(got, "7 attempts within") {
		t.Errorf("after an edit: %q", got)
	}
	before := inside(t, g, "cat", file)
	out, err := g.Run(t.Context(), "sh", "-c", "EDITOR='sed -i s/maxretry:/maxretyr:/' exilectl edit 2>&1")
	if err == nil || !strings.Contains(out, file+":") || !strings.Contains(out, "maxretyr") || !strings.Contains(out, file+" stays as it was") {
		t.Errorf("after a mistake: %v, %q", err, out)
	}
	if after := inside(t, g, "cat", file); after != before {
		t.Errorf("the file is %q, want %q", after, before)
	}
	// If two files are broken, either can be mended first.
	inside(t, g, "sh", "-c", "mkdir /etc/exile/exile.yaml.d; echo 'nosuch: {}' >/etc/exile/exile.yaml.d/10.yaml; sed -i s/maxretry:/maxretyr:/ "+file)
	got = inside(t, g, "sh", "-c", "EDITOR='sed -i s/maxretyr:/maxretry:/' exilectl edit")
	if !strings.Contains(got, "Wrote "+file+". It is not in force") || !strings.Contains(got, "10.yaml:1: ") {
		t.Errorf("one of two is mended: %q", got)
	}
	got = inside(t, g, "sh", "-c", "EDITOR='sed -i s/nosuch/defaults/' exilectl edit /etc/exile/exile.yaml.d/10.yaml && rm -r /etc/exile/exile.yaml.d")
	if !strings.Contains(got, "10.yaml, which is in force.") {
		t.Errorf("the other is mended: %q", got)
	}
	inside(t, g, "systemctl", "stop", "exiled")
	got = inside(t, g, "sh", "-c", "EDITOR='sed -i s/7/6/' exilectl edit")
	if !strings.Contains(got, "exiled is not running and will read it when it starts") {
		t.Errorf("without a daemon: %q", got)
	}
	notRunning(t, g)
	inside(t, g, "systemctl", "start", "exiled")
	if got := inside(t, g, "exilectl", "status", "sshd"); !strings.Contains(got, "6 attempts within") {
		t.Errorf("after the start: %q", got)
	}
	if left := inside(t, g, "sh", "-c", "ls -A /run/exilectl /tmp/edit-* 2>/dev/null; ls -A /etc/exile"); left != "exile.yaml" {
		t.Errorf("it leaves %q", left)
	}
}
