package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestLeaks: a jail closes another port than its service's, so a banned address guesses on. The status says so, and which port it is.
func TestLeaks(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails:\n  sshd:\n    maxretry: 2\n    port: 2222\n")
	examined(t, g)
	a := attacker(t, g, "198.51.100.42")
	guess(t, a, 2)
	if _, err := g.WaitBan(limit(t, time.Minute), a.Addr, 1); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Minute, "the status says that the ban leaks, and where", func() bool {
		if err := a.Guess(t.Context(), "root", 3); !errors.Is(err, host.ErrDenied) {
			t.Fatalf("a guess at a port that is open: got %v, want %v", err, host.ErrDenied)
		}
		status, _ := g.Run(limit(t, 30*time.Second), "exilectl", "status", "--full") // it exits with 3
		return strings.Contains(status, "leaking:sshd") && strings.Contains(status, "port 22, which jail sshd does not close")
	})
	if status := inside(t, g, "exilectl", "status", "sshd"); !strings.Contains(status, "Leaked: ") {
		t.Errorf("exilectl status sshd:\n%s", status)
	}
}

// examined runs exilectl doctor: each part of it works on a real host, and nothing is left of it, also when it is killed.
func examined(t *testing.T, g *target.Target) {
	t.Helper()
	report, _ := g.Run(limit(t, 3*time.Minute), "exilectl", "doctor") // it exits with 1 if a busy machine is slow through the journal
	for _, want := range []string{
		"ok      jail sshd, IPv4: 2222/tcp: closed to the banned address and open to its neighbour",
		"ok      jail sshd, IPv6: 2222/tcp: closed to the banned address and open to its neighbour",
		" through the journal", "jail sshd: ", "no other program that bans is running", "backend nftables",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	_, _ = g.Run(limit(t, time.Minute), "timeout", "--signal=KILL", "0.5", "/usr/lib/exile/exiled", "--doctor=packets") // it fails, being killed
	within(t, time.Minute, "nothing is left of the test network", func() bool {
		return !strings.Contains(inside(t, g, "ip", "link"), "exile-doctor")
	})
}
