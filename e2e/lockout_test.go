package e2e

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestLockout: an admin who is logged in with a key is never locked out: neither by the admin's own script that fails fifty
// passwords, nor by an attacker in the same /64, which is banned except for the address of the session. An address that
// logged in with a key a while ago may guess three times as often as others. An address that only shares a translator's
// prefix with attackers pays for its own slips alone.
func TestLockout(t *testing.T) {
	t.Parallel()
	g := boot(t, config("auto")+"nat64_prefixes: [2001:db8:64::/96]\n")
	key := adminKey(t, g)
	admin, neighbour := attacker(t, g, "203.0.113.5"), attacker(t, g, "2001:db8:c0de::5")
	here, there := stay(t, admin, key), stay(t, neighbour, key)
	fives(t, admin, 10)
	failFour(t, g, attacker(t, g, "2001:db8:c0de::bad"))
	for a, s := range map[*host.Attacker]*host.Session{admin: here, neighbour: there} {
		if !s.Alive("still here") {
			t.Errorf("the connection of %s is dead", a.Addr)
		}
		greeted(t, a)
	}
	silent(t, attacker(t, g, "2001:db8:c0de::6"))
	spared(t, g)
	elsewhere := attacker(t, g, "2001:db8:beef::5")
	lenient(t, g, elsewhere, stay(t, elsewhere, key))
	translated(t, g)
}

// translated: behind the prefixes of translators two strangers fail three passwords each, and a third one fails one: four
// ban.
func translated(t *testing.T, g *target.Target) {
	t.Helper()
	var guesses sync.WaitGroup
	var honest, guilty []*host.Attacker
	for _, prefix := range []string{"64:ff9b::", "2001:db8:64::"} {
		guilty = append(guilty, attacker(t, g, prefix+"203.0.113.71"), attacker(t, g, prefix+"203.0.113.72"))
		honest = append(honest, attacker(t, g, prefix+"203.0.113.73"))
	}
	for _, a := range guilty {
		guesses.Go(func() {
			if err := a.Guess(t.Context(), "root", 3); !errors.Is(err, host.ErrDenied) {
				t.Errorf("three passwords of %s: %v, want %v", a.Addr, err, host.ErrDenied)
			}
		})
	}
	guesses.Wait()
	for i, a := range honest {
		guess(t, a, 1)
		counted(t, g, a, 1)
		failOne(t, g, guilty[2*i])
		greeted(t, a)
		greeted(t, guilty[2*i+1])
	}
}

// failOne makes the guess that bans an attacker alone.
func failOne(t *testing.T, g *target.Target, a *host.Attacker) {
	t.Helper()
	lastFor(t, g, a, netip.PrefixFrom(a.Addr, a.Addr.BitLen()))
}

// lastFor makes the guess that bans that prefix.
func lastFor(t *testing.T, g *target.Target, a *host.Attacker, want netip.Prefix) {
	t.Helper()
	lastGuess(t, g, a)
	ban, err := g.WaitBan(limit(t, patience), a.Addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ban.Prefix != want {
		t.Errorf("banned %s, want %s", ban.Prefix, want)
	}
	silent(t, a)
}

// adminKey makes a key that root may log in with, and returns its file.
func adminKey(t *testing.T, g *target.Target) string {
	t.Helper()
	key := newKey(t)
	authorize(t, g, key, "root")
	return key
}

func stay(t *testing.T, a *host.Attacker, key string) *host.Session {
	t.Helper()
	return stayAs(t, a, "root", key)
}

func stayAs(t *testing.T, a *host.Attacker, user, key string) *host.Session {
	t.Helper()
	s, err := a.Stay(limit(t, 15*time.Minute), user, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fives fails five passwords in each of n connections at once, and sshd denies all: no ban cuts one off.
func fives(t *testing.T, a *host.Attacker, n int) {
	t.Helper()
	var script sync.WaitGroup
	for range n {
		script.Go(func() {
			if err := a.Guess(t.Context(), "root", 5); !errors.Is(err, host.ErrDenied) {
				t.Errorf("five passwords of %s: %v, want %v", a.Addr, err, host.ErrDenied)
			}
		})
	}
	script.Wait()
}

// failFour gets the /64 banned that an attacker shares with the admin.
func failFour(t *testing.T, g *target.Target, a *host.Attacker) {
	t.Helper()
	guess(t, a, 3)
	lastFor(t, g, a, netip.PrefixFrom(a.Addr, 64).Masked())
}

// spared checks that the protection of the session was logged and counted: twelve times for fifty guesses, as four would have
// banned.
func spared(t *testing.T, g *target.Target) {
	t.Helper()
	const want = 12
	eventually(t, "the protection is in the journal", func() bool {
		log := inside(t, g, "journalctl", "-b", "-q", "-o", "cat", "EXILE_EVENT=protected", "EXILE_ADDRESS=203.0.113.5")
		return strings.Count(log, "live session") == want
	})
}

// lenient: an address whose session with a key has ended is banned at the twelfth guess, not at the fourth.
func lenient(t *testing.T, g *target.Target, a *host.Attacker, s *host.Session) {
	t.Helper()
	if err := s.Leave(); err != nil {
		t.Errorf("log out: %v", err)
	}
	fives(t, a, 2)
	guess(t, a, 1)
	greeted(t, a)
	lastGuess(t, g, a)
	if ban, err := g.WaitBan(limit(t, patience), a.Addr, 1); err != nil || ban.Failures != 12 {
		t.Errorf("banned after %d guesses (%v), want 12", ban.Failures, err)
	}
}
