package e2e

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// backends are the ways of banning that every current kernel has.
var backends = []string{"ipset", "nftables", "route"}

// families has two strangers for each address family, far enough apart that a ban of one does not cover the other.
var families = map[string]struct{ attacker, bystander string }{
	"IPv4": {"198.51.100.7", "198.51.100.8"},
	"IPv6": {"2001:db8:bad::7", "2001:db8:600d::8"},
}

func config(backend string) string {
	return "backend: " + backend + "\njails:\n  sshd:\n    maxretry: 4\n    findtime: 10m\n    bantime: 1h\n"
}

// TestBan: the fourth guess bans, the fifth connection gets no banner while others do, and an unban restores service.
func TestBan(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, g *target.Target, a, bystander *host.Attacker) {
		guess(t, a, 3)
		greeted(t, a)
		lastGuess(t, g, a)
		banned(t, g, a, 1)
		explained(t, g, a)
		silent(t, a)
		greeted(t, bystander)
		inside(t, g, "exilectl", "unban", a.Addr.String())
		greeted(t, a)
		if is, err := g.IsBanned(t.Context(), a.Addr); is || err != nil {
			t.Errorf("%s is banned after the unban: %t, %v", a.Addr, is, err)
		}
	})
}

// TestGuessesOfOneConnection: four guesses in one connection count as four, although sshd logs them in other words.
func TestGuessesOfOneConnection(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, g *target.Target, a, bystander *host.Attacker) {
		err := untilBanned(t, g, a, func(ctx context.Context) error { return a.Guess(ctx, "root", 4) })
		if !errors.Is(err, host.ErrDenied) && !errors.Is(err, host.ErrCut) {
			t.Fatalf("four guesses of %s: got %v, want %v or %v", a.Addr, err, host.ErrDenied, host.ErrCut)
		}
		banned(t, g, a, 1)
		silent(t, a)
		greeted(t, bystander)
	})
}

// TestRestart: a restart between the second guess and the third loses nothing and counts nothing twice.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			g := boot(t, config(backend))
			var attackers []*host.Attacker
			for _, f := range families {
				attackers = append(attackers, attacker(t, g, f.attacker))
			}
			for _, a := range attackers {
				guess(t, a, 2)
			}
			inside(t, g, "systemctl", "restart", "exiled")
			for _, a := range attackers {
				guess(t, a, 1)
				counted(t, g, a, 3)
				greeted(t, a)
				lastGuess(t, g, a)
				banned(t, g, a, 1)
				silent(t, a)
			}
			stop(t, g, attackers)
			reboot(t, g, attackers)
		})
	}
}

// stop checks that the ban holds while the daemon is down, and after it is up again.
func stop(t *testing.T, g *target.Target, attackers []*host.Attacker) {
	t.Helper()
	inside(t, g, "systemctl", "stop", "exiled")
	for _, a := range attackers {
		silent(t, a)
	}
	inside(t, g, "systemctl", "start", "exiled")
	for _, a := range attackers {
		silent(t, a)
		if is, err := g.IsBanned(t.Context(), a.Addr); !is || err != nil {
			t.Errorf("%s is banned after a stop and a start: %t, %v", a.Addr, is, err)
		}
	}
}

// reboot checks that exiled restores the bans after a boot before anybody connects.
func reboot(t *testing.T, g *target.Target, attackers []*host.Attacker) {
	t.Helper()
	if err := g.PowerOff(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	for _, a := range attackers {
		silent(t, a)
	}
	greeted(t, attacker(t, g, "198.51.100.9"))
}

// forEach runs a test on one host per backend, with both families at once. They are no parallel tests, which would give up the host's place
// among those that may run, and wait for one, while the host stays.
func forEach(t *testing.T, test func(t *testing.T, g *target.Target, a, bystander *host.Attacker)) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			g := boot(t, config(backend))
			var both sync.WaitGroup
			for family, f := range families {
				both.Go(func() {
					t.Run(family, func(t *testing.T) { test(t, g, attacker(t, g, f.attacker), attacker(t, g, f.bystander)) })
				})
			}
			both.Wait()
		})
	}
}

// guess makes n guesses, one per connection; sshd denies each.
func guess(t *testing.T, a *host.Attacker, n int) {
	t.Helper()
	for i := range n {
		if err := a.Guess(t.Context(), "root", 1); !errors.Is(err, host.ErrDenied) {
			t.Fatalf("guess %d of %d of %s: got %v, want %v", i+1, n, a.Addr, err, host.ErrDenied)
		}
	}
}

// lastGuess makes the guess that bans. Either sshd's answer or the ban may reach the client first.
func lastGuess(t *testing.T, g *target.Target, a *host.Attacker) {
	t.Helper()
	try(t, g, a, "root")
}

// untilBanned has the attacker do something whose answer a ban may keep from it. Soon after the ban it waits no longer.
func untilBanned(t *testing.T, g *target.Target, a *host.Attacker, do func(context.Context) error) error {
	t.Helper()
	return until(t.Context(), do, func(ctx context.Context) bool {
		is, err := g.IsBanned(ctx, a.Addr)
		return is && err == nil
	})
}

// until does something, and soon after the condition holds cancels it.
func until(ctx context.Context, do func(context.Context) error, is func(context.Context) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, asking := make(chan error, 1), time.NewTicker(500*time.Millisecond)
	defer asking.Stop()
	go func() { done <- do(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-asking.C:
		}
		if is(ctx) {
			time.AfterFunc(time.Second, cancel) // an answer that the ban did not stop is there by then
			return <-done
		}
	}
}

// banned waits for the address's nth ban, which must be for four attempts.
func banned(t *testing.T, g *target.Target, a *host.Attacker, nth int) {
	t.Helper()
	ban, err := g.WaitBan(limit(t, patience), a.Addr, nth)
	if err != nil {
		t.Fatal(err)
	}
	if ban.Jail != "sshd" || ban.Failures != 4 {
		t.Errorf("%s was banned by jail %q after %d attempts, want sshd and 4", a.Addr, ban.Jail, ban.Failures)
	}
	want := netip.PrefixFrom(a.Addr, 32)
	if a.Addr.Is6() {
		want = netip.PrefixFrom(a.Addr, 64).Masked()
	}
	if ban.Prefix != want {
		t.Errorf("banned %s, want %s", ban.Prefix, want)
	}
	if ban.Latency <= 0 {
		t.Errorf("ban of %s: latency %s", a.Addr, ban.Latency)
	}
	t.Logf("%s: %s from log entry to kernel", a.Addr, ban.Latency)
}

// explained checks that journalctl shows the guesses that the ban's event names.
func explained(t *testing.T, g *target.Target, a *host.Attacker) {
	t.Helper()
	bans, err := g.Bans(t.Context(), a.Addr)
	if err != nil || len(bans) != 1 || len(bans[0].Evidence) != 4 {
		t.Fatalf("the bans of %s are %v, %v, want one with four entries", a.Addr, bans, err)
	}
	for _, entry := range bans[0].Evidence {
		fields := strings.Fields(entry)
		if len(fields) != 3 || fields[1] != "failed" {
			t.Errorf("evidence %q is not a time, the rule failed and a cursor", entry)
			continue
		}
		line := inside(t, g, "sh", "-c", `journalctl -q -o cat --cursor "$1" | head -n 1`, "-", fields[2])
		if !strings.HasPrefix(line, "Failed password for root from "+a.Addr.String()+" ") {
			t.Errorf("evidence %q leads to %q", entry, line)
		}
	}
}

// greeted checks that sshd greets the address.
func greeted(t *testing.T, a *host.Attacker) {
	t.Helper()
	if banner, err := a.Banner(t.Context()); err != nil {
		t.Errorf("%s gets no banner: %q, %v", a.Addr, banner, err)
	}
}

// silent checks that the address gets no answer at all, not even a refusal.
func silent(t *testing.T, a *host.Attacker) {
	t.Helper()
	if err := a.Silent(t.Context()); err != nil {
		t.Errorf("%s gets an answer: %v", a.Addr, err)
	}
}

// silenced waits until it gets none.
func silenced(t *testing.T, a *host.Attacker) {
	t.Helper()
	eventually(t, a.Addr.String()+" gets no answer", func() bool { return a.Silent(t.Context()) == nil })
}

// counted waits until exiled has counted n failures of the address.
func counted(t *testing.T, g *target.Target, a *host.Attacker, n int) {
	t.Helper()
	ctx := limit(t, patience)
	for {
		got, err := g.Failures(ctx, a.Addr)
		if err == nil && got == n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %d failures counted (%v), want %d", a.Addr, got, err, n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
