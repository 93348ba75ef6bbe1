package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// TestEnforce: each backend, on a host of its own, really enforces the bans.
func TestEnforce(t *testing.T) {
	t.Parallel()
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			g := boot(t, config(backend)+simulating)
			t.Run("cuts what is open", func(t *testing.T) { cuts(t, g) })
			t.Run("ends in time", func(t *testing.T) { ends(t, g) })
			t.Run("simulates", func(t *testing.T) { simulates(t, g) })
			t.Run("repairs", func(t *testing.T) { repairs(t, g, thieves[backend]) })
		})
	}
}

// simulating is a jail that only simulates bans.
const simulating = "  watch:\n    filter: sshd\n    units: [ssh.service, sshd.service]\n    simulate: yes\n    maxretry: 1\n"

// cuts: a ban ends open connections on both sides: IPv4, IPv6, and IPv4 to a listener that sees it as IPv6.
func cuts(t *testing.T, g *target.Target) {
	t.Helper()
	inside(t, g, "systemd-run", "--quiet", "--unit=echo", "systemd-socket-activate", "--listen=2222", "--accept", "--inetd", "cat")
	eventually(t, "the echo server listens", func() bool { return inside(t, g, "ss", "-Hltn", "sport = 2222") != "" })
	for _, f := range families {
		a, free := attacker(t, g, f.attacker), attacker(t, g, f.bystander)
		conn, other := talk(t, a), talk(t, free)
		inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
		banned := time.Now()
		for echoes(conn, "after", time.Second) { // the route backend leaves it to the cut, which comes a moment after the ban
			if time.Since(banned) > late {
				t.Errorf("%s still gets answers", a.Addr)
				break
			}
		}
		for left := "?"; left != ""; { // ss prints v4-mapped addresses like IPv4, in brackets
			left = inside(t, g, "sh", "-c", fmt.Sprintf("ss -Htn state established sport = 2222 | grep -F '%s' || true", a.Addr))
			if left != "" && time.Since(banned) > late {
				t.Errorf("the host keeps the connection of %s:\n%s", a.Addr, left)
				break
			}
		}
		if !echoes(other, "still here", patience) {
			t.Errorf("the connection of %s, which is not banned, is cut", free.Addr)
		}
		inside(t, g, "exilectl", "unban", "-q", a.Addr.String())
	}
}

// talk opens a working connection to the echo server.
func talk(t *testing.T, a *host.Attacker) net.Conn {
	t.Helper()
	conn, err := a.Dial(t.Context(), 2222)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if !echoes(conn, "before", patience) {
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

// late is how late things may be on a busy machine. On an idle one a second is enough for all of them.
const late = 20 * time.Second

// ends: a ban expires by itself, not early and not much late, whether or not the kernel keeps the time.
func ends(t *testing.T, g *target.Target) {
	t.Helper()
	const length = 4 * time.Second
	for _, f := range families {
		a := attacker(t, g, f.attacker)
		asked := time.Now()
		inside(t, g, "exilectl", "ban", "-q", "--duration", length.String(), a.Addr.String())
		answered := time.Now()
		ctx := limit(t, patience)
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
}

// simulates: a simulated ban is announced like any ban, and shuts nobody out.
func simulates(t *testing.T, g *target.Target) {
	t.Helper()
	for _, f := range families {
		a := attacker(t, g, f.attacker)
		guess(t, a, 1)
		ban, err := g.WaitBan(limit(t, patience), a.Addr, 1)
		for n := 2; err == nil && ban.Jail != "watch"; n++ { // skips the bans by hand from before
			ban, err = g.WaitBan(limit(t, patience), a.Addr, n)
		}
		if err != nil {
			t.Fatal(err)
		}
		greeted(t, a)
	}
	if s := status(t, g); s.Banned != 0 || s.Enforced != 0 {
		t.Errorf("%d bans wanted and %d enforced, want none", s.Banned, s.Enforced)
	}
}

// thief removes bans from the kernel behind exiled's back.
type thief struct {
	command string
	told    bool // the kernel notifies exiled; sets do not
}

var thieves = map[string]thief{
	"ipset":    {"ipset flush exile4; ipset flush exile6", false},
	"nftables": {"nft flush ruleset", true},
	"route":    {"ip route flush table 166; ip -6 route flush table 166; ip rule del pref 100; ip -6 rule del pref 100", true},
}

// repairs: what a thief removes from the kernel is back at once if the kernel notifies exiled, otherwise at SIGHUP, and the
// status counts it.
func repairs(t *testing.T, g *target.Target, th thief) {
	t.Helper()
	var exiles []*host.Attacker
	for _, f := range families {
		a := attacker(t, g, f.attacker)
		inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
		exiles = append(exiles, a)
	}
	before := status(t, g)
	inside(t, g, "sh", "-c", th.command)
	if !th.told {
		inside(t, g, "systemctl", "kill", "--signal=HUP", "exiled.service")
	}
	for _, a := range exiles {
		silenced(t, a)
	}
	var after counters
	eventually(t, "the status counts the repair", func() bool {
		after = status(t, g)
		return after.Repairs != before.Repairs && after.LastRepair != nil
	})
	if after.Banned != 2 || after.Enforced != 2 {
		t.Errorf("%d bans wanted and %d enforced, want 2 and 2", after.Banned, after.Enforced)
	}
}

// counters are the kernel's counters in the status.
type counters struct {
	Banned, Enforced int
	Repairs          uint64
	LastRepair       *int64 `json:"last_repair_usec"`
}

func status(t *testing.T, g *target.Target) (c counters) {
	t.Helper()
	if err := json.Unmarshal([]byte(inside(t, g, "exilectl", "status", "--json=short")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}
