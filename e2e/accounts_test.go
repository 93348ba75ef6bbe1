package e2e

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestAccounts: the helper, with its units byte for byte as they are shipped, lists at boot, before sshd runs, who cannot
// log in with a password, and lists it again when that changes.
func TestAccounts(t *testing.T) {
	t.Parallel()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	g, err := target.Shipped(limit(t, time.Minute), *root, tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { done(t, g) })
	if err := g.AddUser(t.Context(), "alice", "a known secret"); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "sh", "-c", "echo root:another secret | chpasswd; sed -i '/PermitRootLogin/d; 1i PermitRootLogin prohibit-password' /etc/ssh/sshd_config")
	inside(t, g, "systemctl", "enable", "exiled-accounts.service", "exiled-accounts.path")
	inside(t, g, "systemctl", "stop", "ssh.service")
	if got := inside(t, g, "find", "/run", "-maxdepth", "1", "-name", "sshd"); got != "" {
		t.Errorf("%s is there without sshd", got)
	}
	inside(t, g, "systemctl", "start", "exiled-accounts.service", "exiled-accounts.path")
	for _, name := range []string{"root", "daemon"} {
		if !slices.Contains(locked(t, g), name) {
			t.Errorf("%s is not listed as an account without a password: %q", name, locked(t, g))
		}
	}
	inside(t, g, "usermod", "--lock", "alice")
	eventually(t, "the helper sees that alice has no password", func() bool { return slices.Contains(locked(t, g), "alice") })
}

// locked are the accounts that the helper's list has as those without a password.
func locked(t *testing.T, g *target.Target) []string {
	t.Helper()
	var list struct{ Accounts, Locked []string }
	out := inside(t, g, "cat", "/run/exile-accounts/accounts.json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || !slices.Contains(list.Accounts, "alice") {
		t.Fatalf("%v: %s", err, out)
	}
	return list.Locked
}
