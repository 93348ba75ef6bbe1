package e2e

import (
	"cmp"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"exile/e2e/host"
	"exile/e2e/target"
)

// ruleset is what a user keeps in a file for nftables.service.
const ruleset = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet theirs { chain input { type filter hook input priority filter; tcp dport 22 accept; }; }\n"

// waiting are the lines of a unit that needs the network before it starts.
const waiting = "Wants=network-online.target\nAfter=network-online.target\n"

// order is a host on which another service starts early or late.
type order struct {
	program string            // the host must have it; "": nothing
	files   map[string]string // by path
	prepare string            // a shell script
	unit    string            // must have done its work after a boot
	shows   string            // prints what it did, nothing if it did not
}

// oneshot is a unit that runs a command once, with these ordering lines.
func oneshot(ordering, command string) string {
	return "[Unit]\n" + ordering + "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=" + command + "\n[Install]\nWantedBy=multi-user.target\n"
}

// theirs shows the table of the user's ruleset.
const theirs = "nft list tables | grep 'inet theirs' || true"

// orders are hosts that would have an ordering cycle if exiled waited for a firewall, or for its state, while that waits for
// the network and the network waits for exiled.
var orders = map[string]order{
	"nftables early": {
		program: "/usr/sbin/nft",
		files:   map[string]string{"/etc/nftables.conf": ruleset},
		prepare: "systemctl enable nftables",
		unit:    "nftables.service",
		shows:   theirs,
	},
	"nftables late": {
		program: "/usr/sbin/nft",
		files: map[string]string{
			"/etc/nftables.conf":                   ruleset,
			"/etc/systemd/system/nftables.service": oneshot(waiting, "/usr/sbin/nft -f /etc/nftables.conf"),
		},
		prepare: "systemctl enable nftables",
		unit:    "nftables.service",
		shows:   theirs,
	},
	"firewalld early": {
		program: "/usr/sbin/firewalld",
		prepare: "systemctl enable firewalld && firewall-offline-cmd --add-service=ssh",
		unit:    "firewalld.service",
		shows:   "nft list tables | grep firewalld || true",
	},
	"firewalld late": {
		program: "/usr/sbin/firewalld",
		prepare: `sed -e '/network-pre/d' -e 's/^\[Service\]/Wants=network-online.target\nAfter=network-online.target\n[Service]/' \
			/usr/lib/systemd/system/firewalld.service >/etc/systemd/system/firewalld.service &&
			systemctl enable firewalld && firewall-offline-cmd --add-service=ssh`,
		unit:  "firewalld.service",
		shows: "nft list tables | grep firewalld || true",
	},
	"ufw early": {
		program: "/usr/sbin/ufw",
		prepare: "ufw allow ssh && ufw --force enable && systemctl enable ufw",
		unit:    "ufw.service",
		shows:   "iptables -S | grep ufw-user-input || true",
	},
	"ufw late": {
		program: "/usr/sbin/ufw",
		files:   map[string]string{"/etc/systemd/system/ufw.service": oneshot(waiting, "/usr/lib/ufw/ufw-init start quiet")},
		prepare: "ufw allow ssh && ufw --force enable && systemctl enable ufw",
		unit:    "ufw.service",
		shows:   "iptables -S | grep ufw-user-input || true",
	},
	"netfilter-persistent early": persistent("DefaultDependencies=no\nConflicts=shutdown.target\nWants=network-pre.target\n" +
		"Before=network-pre.target shutdown.target\nAfter=local-fs.target\n"),
	"netfilter-persistent late": persistent(waiting),
	"state on a mount that needs the network": {
		files: map[string]string{
			"/etc/systemd/system/var-lib-exile.mount": "[Unit]\nDefaultDependencies=no\nConflicts=umount.target\nBefore=umount.target\n" + waiting +
				"[Mount]\nWhat=/srv/exile\nWhere=/var/lib/exile\nType=none\nOptions=bind\n[Install]\nWantedBy=remote-fs.target\n",
		},
		prepare: "mkdir /srv/exile && systemctl stop exiled && cp -a /var/lib/exile/. /srv/exile && systemctl enable var-lib-exile.mount",
		unit:    "var-lib-exile.mount",
		shows:   "findmnt -n /var/lib/exile || true",
	},
	// The ordering of the units of cloud-init 25.
	"cloud-init": {
		files: map[string]string{
			"/etc/systemd/system/cloud-init-local.service": oneshot("DefaultDependencies=no\nWants=network-pre.target\nAfter=systemd-remount-fs.service\n"+
				"Before=network-pre.target shutdown.target sysinit.target\nConflicts=shutdown.target\n", "/bin/true"),
			"/etc/systemd/system/cloud-init-network.service": oneshot("DefaultDependencies=no\nAfter=cloud-init-local.service systemd-networkd-wait-online.service networking.service\n"+
				"Before=network-online.target sshd-keygen.service sshd.service systemd-user-sessions.service shutdown.target\nConflicts=shutdown.target\n", "/bin/true"),
			"/etc/systemd/system/cloud-config.service": oneshot("After=network-online.target cloud-init-network.service\nWants=network-online.target\n", "/bin/touch /run/configured"),
		},
		prepare: "systemctl enable cloud-init-local cloud-init-network cloud-config",
		unit:    "cloud-config.service",
		shows:   "ls /run/configured",
	},
}

// persistent is a host that loads the output of iptables-save.
func persistent(ordering string) order {
	return order{
		program: "/usr/sbin/iptables-restore",
		files: map[string]string{
			"/etc/systemd/system/netfilter-persistent.service": oneshot(ordering, "/usr/sbin/iptables-restore /etc/rules.v4"),
		},
		prepare: "iptables -A INPUT -p tcp --dport 8080 -j DROP && iptables-save >/etc/rules.v4 && systemctl enable netfilter-persistent",
		unit:    "netfilter-persistent.service",
		shows:   "iptables -S | grep 8080 || true",
	}
}

// TestBootOrder: whatever starts early or late beside exiled does start; systemd drops no job to break an ordering cycle;
// bans are in force before sshd listens, and after everything has started.
func TestBootOrder(t *testing.T) {
	t.Parallel()
	for name, o := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(*root + cmp.Or(o.program, "/bin/true")); err != nil {
				t.Skip("SKIPPED, NOTHING WAS TESTED (make deps installs it):", err)
			}
			g := boot(t, config("auto"))
			a := attacker(t, g, families["IPv4"].attacker)
			inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
			for path, text := range o.files {
				if _, err := g.Feed(t.Context(), text, "tee", path); err != nil {
					t.Fatal(err)
				}
			}
			inside(t, g, "sh", "-c", o.prepare)
			if verified := inside(t, g, "sh", "-c", "systemd-analyze verify exiled.service ssh.service "+o.unit+" 2>&1; true"); strings.Contains(verified, "cycle") {
				t.Errorf("systemd-analyze verify: %s", verified)
			}

			reboot(t, g, []*host.Attacker{a})
			if cycle := inside(t, g, "sh", "-c", "journalctl -b -q | grep -i 'ordering cycle\\|to break' || true"); cycle != "" {
				t.Errorf("systemd dropped a job:\n%s", cycle)
			}
			eventually(t, o.unit+" has done its work", func() bool {
				return inside(t, g, "systemctl", "show", "-P", "ActiveState", o.unit) == "active" && inside(t, g, "sh", "-c", o.shows) != ""
			})
			if ready, listens := since(t, g, "exiled", "ActiveEnterTimestampMonotonic"), since(t, g, "ssh", "ExecMainStartTimestampMonotonic"); ready > listens {
				t.Errorf("exiled was ready %v after sshd was started", ready-listens)
			}
			silent(t, a)
			greeted(t, attacker(t, g, families["IPv6"].bystander))
		})
	}
}

// since returns when a unit reached a point of its life, counted from the kernel's boot.
func since(t *testing.T, g *target.Target, unit, property string) time.Duration {
	t.Helper()
	usec, err := strconv.Atoi(inside(t, g, "systemctl", "show", "-P", property, unit))
	if err != nil || usec == 0 {
		t.Fatalf("%s of %s: %v", property, unit, err)
	}
	return time.Duration(usec) * time.Microsecond
}
