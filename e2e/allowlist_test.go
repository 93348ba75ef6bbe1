package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"exile/e2e/host"
)

// TestAllowlist: ignoreip names two hosts and a file, on a host without systemd-resolved, as Debian installs it. While they
// are unknown the daemon is degraded and says which; once a name server, /etc/hosts and the file provide them, it is healthy,
// shows their addresses, and bans only a stranger. A block list stops who is in it and no friend. exiled itself has no network throughout.
func TestAllowlist(t *testing.T) {
	t.Parallel()
	const names = "backend: nftables\nblocklists: {bad: /etc/exile/bad}\njails:\n  sshd: {maxretry: 2, findtime: 10m, bantime: 1h, ignoreip: [office.example, printer, 'file:/etc/exile/friends']}\n"
	g := boot(t, names)
	server := attacker(t, g, "192.0.2.53")
	friends := []*host.Attacker{attacker(t, g, "198.51.100.61"), attacker(t, g, "203.0.113.62"), attacker(t, g, "198.51.100.63")}
	stranger := attacker(t, g, "203.0.113.64")
	said := waitStatus(t, g, 3)
	for _, words := range []string{"allowlist:sshd", "host name office.example", "host name printer", "file:/etc/exile/friends"} {
		if !strings.Contains(said, words) {
			t.Errorf("the status does not say %q:\n%s", words, said)
		}
	}
	knows(t, server, "office.example.", friends[0])
	feed(t, g, "nameserver 192.0.2.53\n", "/etc/resolv.conf")
	inside(t, g, "sh", "-c", "echo 203.0.113.62 printer >>/etc/hosts; echo 198.51.100.63 >/etc/exile/friends; : >/etc/exile/bad")
	within(t, 3*time.Minute, "all of them are known", func() bool {
		_, err := g.Run(limit(t, patience), "exilectl", "status")
		return err == nil
	})
	said = inside(t, g, "exilectl", "status", "sshd")
	for _, words := range []string{"office.example (198.51.100.61)", "printer (203.0.113.62)", "file:/etc/exile/friends"} {
		if !strings.Contains(said, words) {
			t.Errorf("the status of the jail does not say %q:\n%s", words, said)
		}
	}
	for _, a := range friends {
		guess(t, a, 3)
		greeted(t, a)
	}
	listed := attacker(t, g, "203.0.113.65")
	greeted(t, listed)
	inside(t, g, "sh", "-c", "printf '203.0.113.65\n198.51.100.61\n198.51.100.63\n' >/etc/exile/new; mv /etc/exile/new /etc/exile/bad")
	silenced(t, listed)
	for _, a := range friends {
		greeted(t, a)
	}
	if said := inside(t, g, "exilectl", "list-blocklists"); !strings.Contains(said, "in force") {
		t.Errorf("the block list is not in force:\n%s", said)
	}
	guess(t, stranger, 1)
	lastGuess(t, g, stranger)
	eventually(t, "the stranger is banned", func() bool {
		_, err := g.Run(limit(t, patience), "exilectl", "is-banned", stranger.Addr.String())
		return err == nil
	})
}

// knows makes the attacker's address a name server that knows one host.
func knows(t *testing.T, server *host.Attacker, name string, of *host.Attacker) {
	t.Helper()
	conn, err := server.ListenPacket(t.Context(), 53)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); answerName(conn, name, of.Addr.As4()) }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
}

func answerName(conn net.PacketConn, name string, addr [4]byte) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		if q := m.Questions[0]; !strings.EqualFold(q.Name.String(), name) {
			m.RCode = dnsmessage.RCodeNameError
		} else if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, Body: &dnsmessage.AResource{A: addr},
			}}
		}
		if text, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(text, from) // the host may have gone
		}
	}
}
