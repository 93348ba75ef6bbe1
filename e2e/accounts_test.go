package e2e

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestAccounts checks the helper with its units exactly as shipped: it asks sshd, PAM and the account files which accounts
// cannot log in with a password, before sshd runs and again when that changes. The login shell decides nothing: an account
// for file transfer, whose shell refuses logins, still logs in, and guesses at it count like guesses at any usable account.
// Root cannot log in with a password: there a password from a third network bans, and a connection without a password only
// adds points.
func TestAccounts(t *testing.T) {
	t.Parallel()
	if err := host.Available(); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED:", err)
	}
	config := map[string]string{"/etc/exile/exile.yaml": "backend: nftables\njails: {sshd: {detection: adaptive}}\n"}
	g, err := target.Shipped(limit(t, patience), *root, tree, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { done(t, g) })
	people(t, g)
	inside(t, g, "systemctl", "stop", "ssh.service")
	if got := inside(t, g, "find", "/run", "-maxdepth", "1", "-name", "sshd"); got != "" {
		t.Errorf("%s is there without sshd", got)
	}
	inside(t, g, "systemctl", "enable", "--now", "exiled-accounts.service", "exiled-accounts.path")
	inside(t, g, "systemctl", "start", "ssh.service")
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	list := locked(t, g)
	for name, want := range map[string]bool{"root": true, "daemon": true, "keys": true, "gone": true, "alice": false, "files": false} {
		if slices.Contains(list, name) != want {
			t.Errorf("%s is listed as having no password: %t, want %t; the list is %q", name, !want, want, list)
		}
	}

	owner := attacker(t, g, "2001:db8:71::1")
	if _, err := owner.SSH(t.Context(), []string{"-F", "none", "-l", "files", "-s"}, "a secret of files", "sftp"); err != nil {
		t.Errorf("the account for files alone does not log in: %v", err)
	}
	strangers := []*host.Attacker{attacker(t, g, "203.0.113.72"), attacker(t, g, "198.51.100.73"), attacker(t, g, "192.0.2.74")}
	for _, a := range strangers {
		try(t, g, a, "files")
		counted(t, g, a, 1)
	}
	for _, a := range strangers {
		try(t, g, a, "root")
	}
	if _, err := g.WaitBan(limit(t, patience), strangers[2].Addr, 1); err != nil {
		t.Fatal(err)
	}

	keeper := attacker(t, g, "203.0.113.75") // holds root's key, which this host does not accept, and leaves when asked for a password
	for n := range 2 {
		if _, err := keeper.SSH(t.Context(), []string{"-F", "none", "-l", "root", "-o", "PreferredAuthentications=publickey"}, ""); !errors.Is(err, host.ErrDenied) {
			t.Fatalf("root came in without a key: %v", err)
		}
		counted(t, g, keeper, n+1)
	}
	const rule = `name: "root", on which 3 networks failed within 30d by refused passwords`
	if out := inside(t, g, "exilectl", "status", strangers[0].Addr.String()); !strings.Contains(out, rule) {
		t.Errorf("status of a stranger does not say %q:\n%s", rule, out)
	}

	for range 7 { // changes in a row, which are no reason to give up
		inside(t, g, "systemctl", "restart", "exiled-accounts.service")
	}
	inside(t, g, "usermod", "--lock", "alice")
	eventually(t, "the helper sees that alice has no password", func() bool { return slices.Contains(locked(t, g), "alice") })
}

// people makes accounts: root may log in with a key only, files has a shell that refuses logins, keys may use nothing but its
// key, gone has expired.
func people(t *testing.T, g *target.Target) {
	t.Helper()
	for _, name := range []string{"alice", "files", "keys", "gone"} {
		if err := g.AddUser(t.Context(), name, "a secret of "+name); err != nil {
			t.Fatal(err)
		}
	}
	inside(t, g, "sh", "-ec", `echo "root:a secret of root" | chpasswd
		usermod --shell /usr/sbin/nologin files; chage --expiredate 2020-01-01 gone
		sed -i '/PermitRootLogin/d; 1i PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp' /etc/ssh/sshd_config
		printf '%s\n' 'Match User files' 'ForceCommand internal-sftp' 'Match User keys' 'AuthenticationMethods publickey' >>/etc/ssh/sshd_config`)
}

// locked returns the accounts that the helper lists as having no password.
func locked(t *testing.T, g *target.Target) []string {
	t.Helper()
	var list struct{ Accounts, Locked []string }
	out := inside(t, g, "cat", "/run/exile-accounts/accounts.json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || !slices.Contains(list.Accounts, "alice") {
		t.Fatalf("%v: %s", err, out)
	}
	return list.Locked
}
