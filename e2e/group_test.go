package e2e

import (
	"context"
	"strings"
	"testing"

	"exile/e2e/host"
)

// TestGroup: three guilty addresses of a network close sshd to the rest of it, and nothing else: a stranger in that network
// still reaches the web site, and learns why sshd does not answer. The three themselves reach nothing.
func TestGroup(t *testing.T) {
	t.Parallel()
	g := boot(t, "backend: nftables\njails: {sshd: {maxretry: 2, aggregate: ipv4, aggregate.ipv4_count: 3}}\n")
	inside(t, g, "systemctl", "restart", "exiled-accounts.service")
	inside(t, g, "systemd-run", "--quiet", "--unit=echo", "systemd-socket-activate", "--listen=80", "--accept", "--inetd", "cat")
	stranger := attacker(t, g, "203.0.113.79")
	eventually(t, "the web site answers", func() bool { return reaches(t, stranger, 80) })
	for _, addr := range []string{"203.0.113.71", "203.0.113.72", "203.0.113.73"} {
		guilty := attacker(t, g, addr)
		for range 2 {
			try(t, g, guilty, "root")
		}
		if _, err := g.WaitBan(limit(t, patience), guilty.Addr, 1); err != nil {
			t.Fatal(err)
		}
		if reaches(t, guilty, 80) && addr != "203.0.113.73" { // its ban was the group's from the start
			t.Errorf("%s reaches the web site", addr)
		}
	}
	silent(t, stranger)
	eventually(t, "a stranger reaches the web site in spite of what others did", func() bool { return reaches(t, stranger, 80) })
	if out := inside(t, g, "exilectl", "status", stranger.Addr.String()); !strings.Contains(out, "203.0.113.0/24 is banned as a group, from port 22/tcp: 3 in it were banned before") {
		t.Errorf("the status does not say why:\n%s", out)
	}
	if out := inside(t, g, "exilectl", "is-banned", stranger.Addr.String()); strings.TrimSpace(out) != "banned with all of 203.0.113.0/24" {
		t.Errorf("is-banned says %q", out)
	}
	inside(t, g, "exilectl", "ban", "203.0.113.0/24")
	if reaches(t, stranger, 80) {
		t.Error("a ban by hand leaves the web site open")
	}
}

// reaches reports whether the port of the host answers soon.
func reaches(t *testing.T, a *host.Attacker, port uint16) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), host.Silence)
	defer cancel()
	conn, err := a.Dial(ctx, port)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
