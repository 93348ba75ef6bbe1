package e2e

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// neighbour is another firewall that many Debian hosts run beside exile.
type neighbour struct {
	program string
	prepare string   // makes it accept ssh
	steps   []string // what an administrator does with it, in order
	flushes bool     // a step flushes all of nftables
	shows   string   // prints its rules, nothing if it has none
}

var neighbours = map[string]neighbour{
	"firewalld": {
		program: "/usr/sbin/firewalld",
		prepare: "systemctl start firewalld && firewall-cmd --permanent --add-service=ssh",
		steps: []string{
			"firewall-cmd --reload", "firewall-cmd --complete-reload", "systemctl reload firewalld", "systemctl restart firewalld",
			"systemctl stop firewalld", "systemctl start firewalld",
		},
		shows: "nft list tables | grep firewalld || true",
	},
	"ufw": {
		program: "/usr/sbin/ufw",
		prepare: "ufw allow ssh && ufw --force enable && systemctl start ufw",
		steps:   []string{"ufw reload", "systemctl restart ufw", "ufw disable", "ufw --force enable"},
		shows:   "iptables -S | grep ufw-user-input || true",
	},
	"iptables": {
		program: "/usr/sbin/iptables-restore",
		prepare: "iptables -A INPUT -p tcp --dport 22 -j ACCEPT && iptables -A INPUT -p tcp --dport 8080 -j DROP",
		steps: []string{
			"iptables-save >/run/saved && iptables -F && iptables -t raw -F && iptables-restore </run/saved",
			"ip6tables-save >/run/saved6 && ip6tables -F && ip6tables-restore </run/saved6",
		},
		shows: "iptables -S | grep 8080 || true",
	},
	"nftables.service": {
		program: "/usr/sbin/nft",
		prepare: `printf '#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter { chain input { type filter hook input priority filter; tcp dport 22 accept; }; }\n' \
			>/etc/nftables.conf && systemctl start nftables`,
		steps:   []string{"systemctl reload nftables", "systemctl restart nftables", "nft flush ruleset", "systemctl restart nftables"},
		flushes: true,
		shows:   "nft list tables | grep 'inet filter' || true",
	},
}

// TestBeside: whatever another firewall does to its own rules, banned addresses stay out at every moment and others get in;
// whatever exile does, the other firewall's rules stay. If it also flushes the table of the nftables backend, the bans are
// soon back in force.
func TestBeside(t *testing.T) {
	t.Parallel()
	for name, n := range neighbours {
		for _, backend := range backends {
			t.Run(name+"/"+backend, func(t *testing.T) {
				t.Parallel()
				if _, err := os.Stat(n.program); err != nil {
					t.Skip("SKIPPED, NOTHING WAS TESTED (make deps installs it):", err)
				}
				beside(t, boot(t, config(backend)), n, n.flushes && backend == "nftables")
			})
		}
	}
}

// beside does what an administrator does with the neighbour; gaps says that a step may suspend the bans for a moment.
func beside(t *testing.T, g *target.Target, n neighbour, gaps bool) {
	t.Helper()
	exiles := []*host.Attacker{attacker(t, g, families["IPv4"].attacker), attacker(t, g, families["IPv6"].attacker)}
	for _, a := range exiles {
		inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
	}
	s := besiege(t, exiles)
	for _, step := range append([]string{n.prepare}, n.steps...) {
		if gaps {
			s.allowGap()
		}
		inside(t, g, "sh", "-c", step)
		greeted(t, attacker(t, g, families["IPv4"].bystander))
		greeted(t, attacker(t, g, families["IPv6"].bystander))
	}
	var before string
	eventually(t, "the other firewall has its rules", func() bool {
		before = inside(t, g, "sh", "-c", n.shows)
		return before != ""
	})
	s.forbidGap()
	inside(t, g, "systemctl", "restart", "exiled")
	s.stop()
	inside(t, g, "exilectl", "reset-firewall")
	inside(t, g, "systemctl", "stop", "exiled")
	inside(t, g, "/usr/lib/exile/exiled", "--reset-firewall")
	if after := inside(t, g, "sh", "-c", n.shows); after != before {
		t.Errorf("the other firewall's rules were\n%s\nand are\n%s", before, after)
	}
	if left := inside(t, g, "sh", "-c", ours); left != "" {
		t.Errorf("left of exile:\n%s", left)
	}
}

// ours is a command that prints everything that exile has in the kernel, with any backend.
const ours = `nft list tables | grep -w exile; ipset list -n | grep exile; ip rule | grep 166; ip -6 rule | grep 166
	ip route show table 166; ip -6 route show table 166; true`

// assault is a set of banned hosts that knock all the time.
type assault struct {
	stop func() // ends it

	mu      sync.Mutex
	allowed bool      // somebody may get in
	first   time.Time // when the first one did, since then
}

// besiege makes each banned host knock every few milliseconds until stop is called: this also shows a gap in enforcement that
// is shorter than the retransmission time of a lost packet.
func besiege(t *testing.T, exiles []*host.Attacker) *assault {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var knocking sync.WaitGroup
	s := &assault{stop: sync.OnceFunc(func() { cancel(); knocking.Wait() })}
	for _, a := range exiles {
		knocking.Go(func() {
			knocks := 0
			for ctx.Err() == nil {
				knocks++
				if began := time.Now(); knock(ctx, a) && !s.inGap(began) {
					t.Errorf("%s got in at knock %d", a.Addr, knocks)
				}
			}
			t.Logf("%s knocked %d times", a.Addr, knocks)
		})
	}
	t.Cleanup(s.stop)
	return s
}

// allowGap says that from now on the bans may be suspended once, for a moment.
func (s *assault) allowGap() { s.gap(true) }

// forbidGap says that they may not be.
func (s *assault) forbidGap() { s.gap(false) }

func (s *assault) gap(allowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed, s.first = allowed, time.Time{}
}

// inGap reports whether a knock at that time could get in.
func (s *assault) inGap(at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.allowed && s.first.IsZero() {
		s.first = at
	}
	return s.allowed && at.Sub(s.first) < gap
}

// gap is far longer than a repair takes, for busy machines; docs/bench.md says how long it takes.
const gap = 20 * time.Second

// knock reports whether sshd's port soon opens to the address.
func knock(ctx context.Context, a *host.Attacker) bool {
	moment, done := context.WithTimeout(ctx, 20*time.Millisecond)
	defer done()
	conn, err := a.Dial(moment, 22)
	if err != nil {
		return false
	}
	_ = conn.Close() // an open port is all we want to know
	return true
}

// TestSecondInstance: two daemons in one network namespace would undo each other's bans, so the second one names the first
// and exits, whoever starts it and wherever it keeps its state, and the first one's bans hold.
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			g := boot(t, config(backend))
			a := attacker(t, g, families["IPv4"].attacker)
			inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
			if _, err := g.Feed(t.Context(), config(backend)+"state: /var/lib/second\n", "tee", "/etc/second.yaml"); err != nil {
				t.Fatal(err)
			}
			for _, user := range []string{"root", "exile"} {
				refuses(t, g, user, "/etc/exile/exile.yaml", "is another exiled running?")
				refuses(t, g, user, "/etc/second.yaml", "another exiled is running in this network namespace: stop it first")
			}
			silent(t, a)
			inside(t, g, "exilectl", "ban", "-q", families["IPv6"].attacker)
			silent(t, attacker(t, g, families["IPv6"].attacker))
		})
	}
}

// refuses starts an exiled that must exit and say why.
func refuses(t *testing.T, g *target.Target, user, config, want string) {
	t.Helper()
	out, err := g.Command(limit(t, patience), "systemd-run", "--quiet", "--wait", "--pipe", "--collect",
		"--property=User="+user, "--property=SupplementaryGroups=systemd-journal", "--property=AmbientCapabilities=CAP_NET_ADMIN",
		"--property=StateDirectory=exile second", "--property=RuntimeMaxSec=120",
		"/usr/lib/exile/exiled", "--bus=none", "--config="+config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("a second exiled of user %s with %s: %v, and does not say %q:\n%s", user, config, err, want, out)
	}
}

// TestResetFirewall: the verb removes all bans from the kernel and restores the wanted ones; the option of a daemon that is
// not running removes everything of exile's for good, in every backend, and nothing else.
func TestResetFirewall(t *testing.T) {
	t.Parallel()
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			g := boot(t, config(backend))
			inside(t, g, "systemctl", "stop", "exiled")
			inside(t, g, "/usr/lib/exile/exiled", "--reset-firewall")
			inside(t, g, "sh", "-c", `nft add table inet theirs && ipset create theirs hash:ip && ipset add theirs 203.0.113.77 &&
				nft add table ip theirs && ip route add blackhole 203.0.113.77 table 166 && ip rule add pref 99 table 166`)
			before := kernel(t, g)
			inside(t, g, "systemctl", "start", "exiled")
			var exiles []*host.Attacker
			for _, f := range families {
				a := attacker(t, g, f.attacker)
				inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
				exiles = append(exiles, a)
			}
			inside(t, g, "exilectl", "reset-firewall")
			if kernel(t, g) == before {
				t.Error("the kernel shows nothing of the bans")
			}
			if out, err := g.Run(t.Context(), "/usr/lib/exile/exiled", "--reset-firewall"); err == nil {
				t.Errorf("--reset-firewall beside a running daemon succeeds: %s", out)
			}
			for _, a := range exiles {
				silent(t, a)
			}
			inside(t, g, "systemctl", "stop", "exiled")
			for _, a := range exiles {
				silent(t, a)
			}
			inside(t, g, "/usr/lib/exile/exiled", "--reset-firewall")
			for _, a := range exiles {
				greeted(t, a)
			}
			if after := kernel(t, g); after != before {
				t.Errorf("the kernel had\n%s\nand has\n%s", before, after)
			}
		})
	}
}

// kernel is everything that any firewall may have in the kernel.
func kernel(t *testing.T, g *target.Target) string {
	t.Helper()
	return inside(t, g, "sh", "-c", "nft list ruleset; ipset save; ip rule; ip -6 rule; ip route show table 166; ip -6 route show table 166; true")
}

// TestLeftovers: when the backend changes, the old one leaves nothing behind once the new one is in force, and no banned
// address gets in meanwhile.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	g := boot(t, config("route"))
	a := attacker(t, g, families["IPv4"].attacker)
	inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
	s := besiege(t, []*host.Attacker{a})
	for _, step := range []struct{ backend, left, want string }{
		{"nftables", "ip rule | grep 166; ip route show table 166", "nft list tables | grep 'inet exile'"},
		{"ipset", "nft list tables | grep inet", "ipset list -n | grep exile4"},
		{"route", "nft list tables; ipset list -n", "ip route show table 166"},
	} {
		if _, err := g.Feed(t.Context(), config(step.backend), "tee", "/etc/exile/exile.yaml"); err != nil {
			t.Fatal(err)
		}
		inside(t, g, "systemctl", "restart", "exiled")
		if got := inside(t, g, "sh", "-c", step.left+"; true"); got != "" {
			t.Errorf("%s at work, and left of the one before it:\n%s", step.backend, got)
		}
		if got := inside(t, g, "sh", "-c", step.want+"; true"); got == "" {
			t.Errorf("%s has nothing in the kernel", step.backend)
		}
		silent(t, a)
	}
	s.stop()
}
