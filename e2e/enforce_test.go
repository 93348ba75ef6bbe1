package e2e

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// at calls the test for every backend, on a host each.
func at(t *testing.T, test func(t *testing.T, g *target.Target)) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			test(t, boot(t, config(backend)))
		})
	}
}

// TestEstablished: a ban ends the connections that are open, on both sides: of IPv4, of IPv6, and of IPv4
// to a listener that sees it as IPv6.
func TestEstablished(t *testing.T) {
	t.Parallel()
	at(t, func(t *testing.T, g *target.Target) {
		inside(t, g, "systemd-run", "--quiet", "--unit=echo", "systemd-socket-activate", "--listen=2222", "--accept", "--inetd", "cat")
		eventually(t, "the echo server listens", func() bool { return inside(t, g, "ss", "-Hltn", "sport = 2222") != "" })
		for _, f := range families {
			a, free := attacker(t, g, f.attacker), attacker(t, g, f.bystander)
			conn, other := talk(t, a), talk(t, free)
			inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
			banned := time.Now()
			for echoes(conn, "after", time.Second) { // a route leaves that to the cut, which comes a moment after the ban
				if time.Since(banned) > late {
					t.Errorf("%s still gets answers", a.Addr)
					break
				}
			}
			for left := "?"; left != ""; { // ss prints v4-mapped addresses as the IPv4 ones in brackets
				left = inside(t, g, "sh", "-c", fmt.Sprintf("ss -Htn state established sport = 2222 | grep -F '%s' || true", a.Addr))
				if left != "" && time.Since(banned) > late {
					t.Errorf("the host keeps the connection of %s:\n%s", a.Addr, left)
					break
				}
			}
			if !echoes(other, "still here", 10*time.Second) {
				t.Errorf("the connection of %s, who is not banned, is cut", free.Addr)
			}
		}
	})
}

// talk opens a connection to the echo server that works.
func talk(t *testing.T, a *host.Attacker) net.Conn {
	t.Helper()
	conn, err := a.Dial(t.Context(), 2222)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if !echoes(conn, "before", 10*time.Second) {
		t.Fatalf("no answer to %s before the ban", a.Addr)
	}
	return conn
}

// echoes reports whether a line comes back in time.
func echoes(conn net.Conn, line string, wait time.Duration) bool {
	if conn.SetDeadline(time.Now().Add(wait)) != nil {
		return false
	}
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return false
	}
	got, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && got == line+"\n"
}

// late is how late things may be on a machine that does much else. On an idle one a second is enough for all of them.
const late = 4 * time.Second

// TestExpiry: a ban ends by itself, not before its time and soon after it, whether the kernel keeps the time or not.
func TestExpiry(t *testing.T) {
	t.Parallel()
	at(t, func(t *testing.T, g *target.Target) {
		const length = 4 * time.Second
		for _, f := range families {
			a := attacker(t, g, f.attacker)
			asked := time.Now()
			inside(t, g, "exilectl", "ban", "-q", "--duration", length.String(), a.Addr.String())
			answered := time.Now()
			ctx := limit(t, time.Minute)
			for !knock(ctx, a) && ctx.Err() == nil {
			}
			free := time.Now()
			if free.Before(asked.Add(length)) {
				t.Errorf("%s was let in %s early", a.Addr, asked.Add(length).Sub(free))
			}
			after := free.Sub(answered.Add(length))
			if after > late {
				t.Errorf("%s was let in %s late", a.Addr, after)
			}
			t.Logf("%s was let in %s after the end", a.Addr, after)
		}
	})
}
