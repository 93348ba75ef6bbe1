package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"exile/e2e/host"
)

// TestLeaks: a jail closes another port than its service's, so a banned address guesses on. The status says so, and which port it is.
func TestLeaks(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails:\n  sshd:\n    maxretry: 2\n    port: 2222\n")
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
