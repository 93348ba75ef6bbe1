package e2e

import (
	"io"
	"strings"
	"testing"

	"exile/e2e/host"
)

// TestMaxStartups: two strangers connect 110 times and say nothing, so that sshd refuses its owner. While it lasts the status
// says so, who they are, and what helps; nobody is banned for it.
func TestMaxStartups(t *testing.T) {
	t.Parallel()
	g := off(t, config("nftables"))
	inside(t, g, "sh", "-ec", "sed -i 's/^MaxStartups.*/MaxStartups 10:30:100/' /etc/ssh/sshd_config; systemctl reload ssh.service")
	if err := g.Activate(limit(t, patience)); err != nil {
		t.Fatal(err)
	}
	most, fewer := attacker(t, g, "198.51.100.41"), attacker(t, g, "2001:db8:41::1")
	leave, leaveToo := wordless(t, fewer, 30), wordless(t, most, 80)
	inside(t, g, "systemctl", "restart", "exiled.service") // it looks at its start, and once a minute
	for _, words := range []string{
		"max-startups:sshd", "from 10 on, and all from 100 on", "198.51.100.41 (", "2001:db8:41::/64 (", "PerSourceMaxStartups",
	} {
		within(t, patience, "exilectl status says "+words, func() bool {
			status, _ := g.Run(limit(t, patience), "exilectl", "status", "--full") // it exits with 3
			return strings.Contains(status, words)
		})
	}
	if bans, err := g.Banned(t.Context()); err != nil || len(bans) > 0 {
		t.Errorf("banned: %v, %v", bans, err)
	}
	leave()
	leaveToo()
	inside(t, g, "systemctl", "restart", "exiled.service")
	within(t, patience, "the status is well again", func() bool {
		_, err := g.Run(limit(t, patience), "exilectl", "status")
		return err == nil
	})
}

// wordless connects n times, as far as sshd lets it, and returns a function that closes the connections.
func wordless(t *testing.T, a *host.Attacker, n int) (leave func()) {
	t.Helper()
	var open []io.Closer
	leave = func() {
		for _, conn := range open {
			_ = conn.Close() // some are closed twice
		}
	}
	t.Cleanup(leave)
	for range n {
		conn, err := a.Dial(t.Context(), 22)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	return leave
}
