package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"exile/e2e/target"
)

// TestPolkit: what users other than root may do is decided by polkit, each time.
func TestPolkit(t *testing.T) {
	t.Parallel()
	g := boot(t, config("ipset"))
	if err := g.AddUser(t.Context(), "alice", "a known secret"); err != nil {
		t.Fatal(err)
	}
	if err := g.AddUser(t.Context(), "carol", "the admin's secret"); err != nil {
		t.Fatal(err)
	}
	inside(t, g, "usermod", "-aG", "sudo", "carol")
	ban := append(managerCall, "Ban", "sstst", "sshd", "203.0.113.9", "0", "", "0")
	unban := append(managerCall, "Unban", "sst", "sshd", "203.0.113.9", "0")
	report := append(managerCall, "Report", "sssbt", "sshd", "203.0.113.9", "root", "false", "0")
	asAlice(t, g, "", append(managerCall, "ListJails")...)
	asAlice(t, g, "nteractive authentication required", append(managerCall, "ListBans", "ssut", "", "", "0", "0")...)
	if got, err := runAs(t, g, "exilectl", "status"); err != nil || !strings.Contains(got, "Some log lines are not shown") {
		t.Errorf("alice asks for the status (%v):\n%s", err, got)
	}
	asAlice(t, g, "nteractive authentication required", ban...)
	asAlice(t, g, "nteractive authentication required", append(managerCall, "Reload")...)
	asAlice(t, g, "ccess denied", report...)

	const rule = `polkit.addRule(function(action, subject) {
	if (action.id == "org.exile1.ban" && subject.user == "alice") return polkit.Result.YES;
});`
	setRule(t, g, rule)
	eventually(t, "polkit lets alice ban", func() bool { _, err := runAs(t, g, ban...); return err == nil })
	if got := inside(t, g, "exilectl", "list-bans"); !strings.Contains(got, "203.0.113.9") {
		t.Errorf("alice's ban is not there:\n%s", got)
	}
	asAlice(t, g, "nteractive authentication required", unban...)
	setRule(t, g, "")
	eventually(t, "polkit no longer lets alice ban", func() bool { _, err := runAs(t, g, ban...); return err != nil })

	askAdmin(t, g)
	eachAction(t, g)

	inside(t, g, "systemctl", "mask", "--runtime", "--now", "polkit.service")
	asAlice(t, g, "ccess denied", ban...)
	asAlice(t, g, "ccess denied", append(managerCall, "ListBans", "ssut", "", "", "0", "0")...)
	inside(t, g, ban...)
}

// setRule puts a rule in force. It appears complete, by one rename: if it were created and then written, polkit might read
// only its beginning and not look again.
func setRule(t *testing.T, g *target.Target, rule string) {
	t.Helper()
	const move = "cat >/etc/polkit-1/new && mv /etc/polkit-1/new /etc/polkit-1/rules.d/10-exile.rules"
	if _, err := g.Feed(t.Context(), rule, "sh", "-c", move); err != nil {
		t.Fatal(err)
	}
}

// askAdmin lets alice unban at a terminal of her session, where exilectl asks for the password of an admin.
func askAdmin(t *testing.T, g *target.Target) {
	t.Helper()
	inside(t, g, "exilectl", "ban", "-q", "203.0.113.9")
	shell := attacker(t, g, "203.0.113.50")
	for _, tt := range []struct{ password, want string }{
		{"no secret of anybody", "AUTHENTICATION FAILED"},
		{"the admin's secret", "Unbanned 203.0.113.9 (1 ban)."},
	} {
		said, err := shell.Login(limit(t, patience), "alice", "a known secret", "password=\""+tt.password+"\"; "+typist)
		if err != nil || !strings.Contains(said, tt.want) {
			t.Errorf("unban with %q does not say %q but (%v):\n%s", tt.password, tt.want, err, said)
		}
	}
}

// typist types the password when asked, and again in case the prompt swallowed it.
const typist = `
trap "" PIPE; rm -f keys said; mkfifo keys
script -qefc "exilectl unban 203.0.113.9" said <keys >/dev/null & exec 3>keys
for i in $(seq 600); do
	kill -0 $! 2>/dev/null || break
	if grep -q "assword:" said; then echo "$password" >&3; fi
	sleep 0.2
done
cat said`

// asAlice runs a command as an ordinary user; want is part of the refusal, empty if she may.
func asAlice(t *testing.T, g *target.Target, want string, args ...string) {
	t.Helper()
	_, err := runAs(t, g, args...)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("alice runs %q: %v, want %q", args, err, want)
	}
}

func runAs(t *testing.T, g *target.Target, args ...string) (string, error) {
	t.Helper()
	return g.Run(limit(t, patience), append([]string{"runuser", "-u", "alice", "--"}, args...)...)
}

// eachAction makes a user for each action, granted that action alone: the user may do that and what it implies, and nothing
// else.
func eachAction(t *testing.T, g *target.Target) {
	t.Helper()
	calls := map[string][]string{
		"inspect":   {"ListBans", "ssut", "", "", "0", "0"},
		"ban":       {"Ban", "sstst", "sshd", "203.0.113.9", "0", "", "0"},
		"unban":     {"Unban", "sst", "sshd", "203.0.113.9", "0"},
		"unban-all": {"Flush", "st", "", "0"},
		"reload":    {"Reload"},
		"report":    {"Report", "sssbt", "sshd", "203.0.113.10", "root", "false", "0"},
		"configure": {"GetTrial"},
		"manage":    {"ResetStatistics"},
	}
	implied := map[string][]string{"unban-all": {"unban"}, "manage": {"inspect", "ban", "unban", "unban-all", "reload"}}
	inside(t, g, "sh", "-ec", "for u in "+strings.Join(slices.Collect(maps.Keys(calls)), " ")+"; do useradd may-$u; done")
	const rule = `polkit.addRule(function(action, subject) {
	if ("may-" + action.id.replace("org.exile1.", "") == subject.user) return polkit.Result.YES;
});`
	setRule(t, g, rule)
	eventually(t, "polkit has read the rule", func() bool { return may(t, g, "ban", "ban", calls) })
	for granted := range calls {
		for action := range calls {
			want := action == granted || slices.Contains(implied[granted], action)
			if got := may(t, g, granted, action, calls); got != want {
				t.Errorf("with %s granted, %s: %v, want %v", granted, action, got, want)
			}
		}
	}
}

// may reports whether a user granted one action may do another.
func may(t *testing.T, g *target.Target, granted, action string, calls map[string][]string) bool {
	t.Helper()
	as := []string{"runuser", "-u", "may-" + granted, "--"}
	_, err := g.Run(limit(t, patience), slices.Concat(as, managerCall, calls[action])...)
	if err == nil {
		return true
	}
	if !strings.Contains(err.Error(), "ccess denied") && !strings.Contains(err.Error(), "nteractive authentication required") {
		t.Errorf("with %s granted, trying %s: %v", granted, action, err)
	}
	return false
}
