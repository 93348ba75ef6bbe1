package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestAdaptive runs the shipped detector on a host. The helper tells it which accounts have no password; the detector learns
// a name from two networks, bans the third for it, and every face says why.
func TestAdaptive(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails: {sshd: {detection: adaptive}}\n")
	first, second, third := attacker(t, g, "203.0.113.61"), attacker(t, g, "192.0.2.63"), attacker(t, g, "198.51.100.62")
	if err := g.AddUser(t.Context(), "alice", "a known secret"); err != nil {
		t.Fatal(err)
	}
	helper(t, g)

	try(t, g, first, "oracle")
	counted(t, g, first, 1)
	try(t, g, second, "oracle")
	counted(t, g, second, 1)
	try(t, g, third, "oracle")
	if _, err := g.WaitBan(limit(t, patience), third.Addr, 1); err != nil {
		t.Fatal(err)
	}
	silent(t, third)
	const why = `name: "oracle", on which 3 networks failed, 5 of 5 points in 1d, offence 1, step 1`
	for _, question := range [][]string{
		{"exilectl", "status", third.Addr.String()},
		{"busctl", "call", "org.exile1", "/org/exile1", "org.exile1.Manager", "DescribeAddress", "s", third.Addr.String()},
		{"journalctl", "-b", "-o", "verbose", "-u", "exiled", "MESSAGE_ID=2929576456a04afc970b3018a1aa88c1"},
	} {
		if out := inside(t, g, question...); !strings.Contains(strings.ReplaceAll(out, `\`, ""), why) {
			t.Errorf("%q does not say %q:\n%s", question, why, out)
		}
	}
	if out := inside(t, g, "exilectl", "list-names"); !strings.Contains(out, "oracle") {
		t.Errorf("list-names does not list the name:\n%s", out)
	}
	showsNames(t, g, third, "oracle")
	inside(t, g, "exilectl", "forget", "oracle")
	if out := inside(t, g, "exilectl", "list-names"); strings.Contains(out, "oracle") {
		t.Errorf("list-names lists a name that is forgotten:\n%s", out)
	}
	eventually(t, "the dropped packets are counted", func() bool {
		var days []struct{ Passed, Dropped uint64 }
		out := inside(t, g, "exilectl", "statistics", "--daily", "--json=short")
		if err := json.Unmarshal([]byte(out), &days); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return len(days) > 0 && days[len(days)-1].Passed == 3 && days[len(days)-1].Dropped > 0
	})
}

// showsNames checks that the bus and the socket show a tried name, which may be somebody's password, only to users who may
// read the system journal.
func showsNames(t *testing.T, g *target.Target, a *host.Attacker, name string) {
	t.Helper()
	inside(t, g, "useradd", "somebody")
	inside(t, g, "useradd", "-G", "systemd-journal", "reader")
	for _, face := range []string{"", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent"} { // without a bus exilectl asks the socket
		for _, tt := range []struct {
			user string
			args []string
			want string
		}{
			{"somebody", []string{"list-names"}, "join the group systemd-journal"},
			{"somebody", []string{"list-bans"}, "join the group systemd-journal"},
			{"somebody", []string{"status", a.Addr.String()}, "join the group systemd-journal"},
			{"reader", []string{"list-names"}, name},
			{"reader", []string{"list-bans"}, a.Addr.String()},
			{"reader", []string{"status", a.Addr.String()}, name},
		} {
			asked := strings.Join(append([]string{"runuser -u", tt.user, "-- env", face, "exilectl --no-ask-password"}, tt.args...), " ")
			said := inside(t, g, "sh", "-c", asked+" 2>&1; true")
			if !strings.Contains(said, tt.want) || tt.user == "somebody" && strings.Contains(said, name) {
				t.Errorf("%s says, without %q:\n%s", asked, tt.want, said)
			}
		}
		if said := inside(t, g, "sh", "-c", "runuser -u somebody -- env "+face+" exilectl list-jails 2>&1; true"); !strings.Contains(said, "sshd") {
			t.Errorf("list-jails is not for everybody (%s):\n%s", face, said)
		}
	}
}

// try guesses once for a name. Either its ban or sshd's answer may come first.
func try(t *testing.T, g *target.Target, a *host.Attacker, user string) {
	t.Helper()
	err := untilBanned(t, g, a, func(ctx context.Context) error { return a.Guess(ctx, user, 1) })
	if !errors.Is(err, host.ErrDenied) && !errors.Is(err, host.ErrCut) {
		t.Fatalf("guess of %s for %s: %v", a.Addr, user, err)
	}
}

// helper checks that exiled-accounts.service, in its sandbox, lists the accounts without a password, lists them again when
// that changes, and that exiled notices.
func helper(t *testing.T, g *target.Target) {
	t.Helper()
	inside(t, g, "systemctl", "restart", "exiled-accounts.service")
	if got := locked(t, g); !slices.Contains(got, "daemon") || slices.Contains(got, "alice") {
		t.Errorf("locked are %q, want daemon and not alice", got)
	}
	watching := func() bool {
		return inside(t, g, "systemctl", "show", "-P", "SubState", "exiled-accounts.path") == "waiting"
	}
	eventually(t, "systemd watches the accounts", watching) // not while the helper runs
	inside(t, g, "usermod", "--lock", "alice")
	eventually(t, "the helper sees that alice has no password", func() bool { return slices.Contains(locked(t, g), "alice") })
	says(t, g, "Read the accounts of this host again")
	if out := inside(t, g, "stat", "-c", "%U:%G %a", "/run/exile-accounts", "/run/exile-accounts/accounts.json"); strings.TrimSpace(out) != "root:exile 750\nroot:exile 640" {
		t.Errorf("the list has the wrong owner or mode:\n%s", out)
	}
}
