package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestGuest: a user with a session of a cheap account who guesses at root with four clients at once is banned after three
// times as many guesses as a stranger, for 10 minutes. The session survives, also a flush by another program and a restart,
// but no new connection is accepted. A logged-in administrator who mistypes ten times is left alone. Guesses over the
// loopback ban nobody and are reported.
func TestGuest(t *testing.T) {
	t.Parallel()
	backend := "auto" // which is ipset; the other host tries the other one, and the conformance suite both
	if *root != "/" {
		backend = "nftables"
	}
	g := boot(t, config(backend))
	key := newKey(t)
	authorize(t, g, key, "alice", "bob")
	inside(t, g, "usermod", "-aG", "sudo", "bob")
	inside(t, g, "systemctl", "restart", "exiled") // so that it need not wait for its next look at the groups
	admin := attacker(t, g, "203.0.113.5")
	theirs := stayAs(t, admin, "bob", key)
	fives(t, admin, 2)
	for _, addr := range []string{"203.0.113.77", "2001:db8:c0de::77"} {
		guest(t, g, attacker(t, g, addr), key)
	}
	if !theirs.Alive("still here") {
		t.Error("the administrator's connection is dead")
	}
	greeted(t, admin)
	locally(t, g)
}

// guest guesses from the address of a session until nobody answers.
func guest(t *testing.T, g *target.Target, a *host.Attacker, key string) {
	t.Helper()
	session := stayAs(t, a, "alice", key)
	const clients, allowed = 4, 12
	var guesses int
	_ = untilBanned(t, g, a, func(ctx context.Context) error { guesses = storm(ctx, a, clients); return nil })
	ban, err := g.WaitBan(limit(t, patience), a.Addr, 1)
	if err != nil || ban.Failures != allowed || guesses > allowed+3*clients {
		t.Errorf("%s is banned after %d of %d guesses (%v), want %d, and not many under way", a.Addr, ban.Failures, guesses, err, allowed)
	}
	alive := func(when string) {
		t.Helper()
		if !session.Alive(when) {
			t.Fatalf("%s: the session of %s is dead", when, a.Addr)
		}
		silent(t, a)
	}
	alive("banned")
	if said := inside(t, g, "exilectl", "status", a.Addr.String()); !strings.Contains(said, `session: of "alice"`) {
		t.Errorf("status says nothing of the session:\n%s", said)
	}
	inside(t, g, "sh", "-c", "nft flush ruleset || true")
	inside(t, g, "systemctl", "restart", "exiled")
	alive("restarted")
	if err := session.Leave(); err != nil {
		t.Errorf("log out: %v", err)
	}
	eventually(t, "nothing is left of the session that is over", func() bool {
		return !strings.Contains(inside(t, g, "sh", "-c", "nft list ruleset"), "@connections")
	})
	silent(t, a)
}

// storm makes clients guess at root until one of them gets no answer, and returns how many guesses were denied.
func storm(ctx context.Context, a *host.Attacker, clients int) int {
	var denied atomic.Int64
	var guessing sync.WaitGroup
	for range clients {
		guessing.Go(func() {
			for errors.Is(a.Guess(ctx, "root", 1), host.ErrDenied) {
				denied.Add(1)
			}
		})
	}
	guessing.Wait()
	return int(denied.Load())
}

// locally guesses as a local user, over the loopback.
func locally(t *testing.T, g *target.Target) {
	t.Helper()
	const ssh = "setsid -w ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PreferredAuthentications=password " +
		"-o NumberOfPasswordPrompts=2 root@127.0.0.1 true"
	inside(t, g, "sh", "-c", "for i in 1 2; do runuser -u alice -- env SSH_ASKPASS=/bin/echo SSH_ASKPASS_REQUIRE=force "+ssh+" & done; wait")
	eventually(t, "the status tells of local guesses", func() bool {
		out, _ := g.Run(limit(t, patience), "exilectl", "status") // it fails while the state is degraded
		return strings.Contains(out, "guessing:root") && strings.Contains(out, "a local user")
	})
}

// newKey makes a key and returns its file.
func newKey(t *testing.T) string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("make a key: %v: %s", err, out)
	}
	return key
}

// authorize makes accounts that accept the key.
func authorize(t *testing.T, g *target.Target, key string, users ...string) {
	t.Helper()
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range users {
		_, err := g.Feed(t.Context(), string(public), "sh", "-ec", `
			id "$0" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$0"
			cd "$(getent passwd "$0" | cut -d: -f6)"
			umask 077
			mkdir -p .ssh
			cat >.ssh/authorized_keys
			chown -R "$0:" .ssh`, user)
		if err != nil {
			t.Fatal(err)
		}
	}
}
