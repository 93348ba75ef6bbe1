package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/e2e/host"
	"exile/e2e/target"
)

// somebody has configured the host before: strict defaults, a journal in memory, ufw, a file for nftables that begins as
// Debian's does and so removes ufw's rules whenever it is reloaded, and a container engine that adds its rules when it
// starts.
const somebody = `
	mkdir -p /etc/systemd/journald.conf.d && printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/volatile.conf
	echo 'umask 077' >>/etc/profile
	cat >/etc/nftables.conf <<'END'
#!/usr/sbin/nft -f
flush ruleset
table inet theirs {
	set friends { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 }; }
	chain input { type filter hook input priority filter - 5; policy accept; ip saddr @friends counter accept; }
}
END
	cat >/usr/local/sbin/engine <<'END'
#!/bin/sh
set -e
iptables -N DOCKER-USER 2>/dev/null || :
iptables -N DOCKER 2>/dev/null || :
iptables -C FORWARD -j DOCKER-USER 2>/dev/null || iptables -I FORWARD -j DOCKER-USER
iptables -C FORWARD -o docker0 -j DOCKER 2>/dev/null || iptables -A FORWARD -o docker0 -j DOCKER
iptables -P FORWARD DROP
iptables -t nat -C POSTROUTING -s 172.17.0.0/16 -j MASQUERADE 2>/dev/null || iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
END
	chmod 755 /usr/local/sbin/engine
	printf '[Unit]\nAfter=network-online.target nftables.service ufw.service\nWants=network-online.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/local/sbin/engine\n[Install]\nWantedBy=multi-user.target\n' \
		>/etc/systemd/system/engine.service
	ufw limit ssh && ufw --force enable && systemctl enable ufw nftables engine`

// theirRules are the rules of others on the host, without their counters.
const theirRules = `nft -s list ruleset | awk '/^table (inet|ip|ip6) exile/ { ours = 1 } !ours { print } /^}/ { ours = 0 }' | sed 's/ packets [0-9]* bytes [0-9]*//'
	iptables -t filter -S; iptables -t nat -S; ip rule; ip route show table all | grep -v 'table local'`

// TestHostOfSomebody installs the package on a host that somebody else has configured. It guards sshd and says that all is
// well, whatever the others reload, and after a boot. The rules of others stay as they were, until exile is purged and
// afterwards.
func TestHostOfSomebody(t *testing.T) {
	t.Parallel()
	deb := packages(t, "1.0.0")[0]
	g := virgin(t)
	inside(t, g, "sh", "-ec", somebody)
	reboot(t, g, nil)
	before := inside(t, g, "sh", "-c", theirRules)
	if !strings.Contains(before, "table inet theirs") || !strings.Contains(before, "DOCKER-USER") {
		t.Fatalf("the others are not there:\n%s", before)
	}

	if _, err := g.Run(limit(t, patience), "sh", "-c", "umask 077; dpkg -i "+carry(t, g, deb)); err != nil {
		t.Fatal(err)
	}
	running(t, g)
	unchanged(t, g, before)
	exile := attacker(t, g, "198.51.100.43")
	guess(t, exile, 4)
	lastGuess(t, g, exile)
	guarded(t, g, exile)
	unchanged(t, g, before)

	for _, theirs := range []string{"ufw reload", "systemctl restart engine", "systemctl reload nftables", "systemctl restart ufw engine", "systemctl restart systemd-journald"} {
		inside(t, g, "sh", "-ec", theirs)
		guarded(t, g, exile)
	}
	reboot(t, g, []*host.Attacker{exile})
	guarded(t, g, exile)
	unchanged(t, g, before)
	second := attacker(t, g, "2001:db8:44::1")
	guess(t, second, 4)
	lastGuess(t, g, second)
	guarded(t, g, second)

	dpkg(t, g, "-P", "exile")
	unchanged(t, g, before)
	greeted(t, exile)
}

// guarded waits until the address is banned and the daemon has nothing to complain about.
func guarded(t *testing.T, g *target.Target, a *host.Attacker) {
	t.Helper()
	eventually(t, a.Addr.String()+" is banned, and all is well", func() bool {
		_, err := g.Run(t.Context(), "exilectl", "is-banned", a.Addr.String())
		return err == nil && a.Silent(t.Context()) == nil && strings.Contains(inside(t, g, "exilectl", "show", "-p", "State"), "running")
	})
}

// unchanged checks that what is not exile's is as it was.
func unchanged(t *testing.T, g *target.Target, before string) {
	t.Helper()
	if diff := cmp.Diff(before, inside(t, g, "sh", "-c", theirRules)); diff != "" {
		t.Errorf("the rules of others have changed (-before +after):\n%s", diff)
	}
}
