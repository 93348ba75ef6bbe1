package e2e

import (
	"fmt"
	"strings"
	"testing"

	"exile/e2e/host"
	"exile/e2e/target"
)

// keeper is a way to keep the rules of a host in files, with what its users do with them.
type keeper struct {
	prepare string   // makes the user's rules, and what loads them at boot
	save    string   // while exiled runs
	loads   []string // each must load the user's rules
	shows   string   // prints the user's rules, nothing if there are none
}

// whole is nftables.service with a file into which an administrator saved the whole ruleset, after these first lines.
func whole(head string) keeper {
	return keeper{
		prepare: "nft 'table inet theirs { chain input { type filter hook input priority filter; tcp dport 22 accept; }; }' && systemctl enable nftables",
		save:    "(printf '" + head + "'; nft list ruleset) >/etc/nftables.conf",
		loads: []string{
			"nft -f /etc/nftables.conf", "systemctl start nftables", "systemctl reload nftables", "systemctl restart nftables",
			"systemctl stop exiled && systemctl restart nftables", "systemctl start exiled",
		},
		shows: theirs,
	}
}

// rulesOfIPTables is a host that keeps iptables rules and ipset sets, as netfilter-persistent does. kind is "" for the tools that
// make rules of nftables, "-legacy" for those of ip_tables, which are beside nftables.
func rulesOfIPTables(kind string) keeper {
	tools := strings.NewReplacer("ip6tables", "ip6tables"+kind, "iptables", "iptables"+kind)
	return keeper{
		prepare: tools.Replace("iptables -A INPUT -p tcp --dport 22 -j ACCEPT && iptables -A INPUT -p tcp --dport 8080 -j DROP") + " && ipset create theirs hash:ip",
		save:    tools.Replace("iptables-save >/etc/rules.v4 && ip6tables-save >/etc/rules.v6 && ipset save >/etc/ipsets"),
		loads: []string{
			tools.Replace("iptables-restore </etc/rules.v4 && ip6tables-restore </etc/rules.v6"),
			// Sets announce no changes: the next comparison finds what was restored.
			tools.Replace("ipset -exist restore </etc/ipsets && iptables -F && iptables-restore </etc/rules.v4 && systemctl kill -s HUP exiled"),
			tools.Replace("systemctl stop exiled && ipset -exist restore </etc/ipsets && iptables-restore </etc/rules.v4"), "systemctl start exiled",
		},
		shows: tools.Replace("iptables -S | grep 8080 || true"),
	}
}

// TestSavedRules: rules that were saved while exiled ran are loaded while it runs, while it does not, and at boot. Soon
// afterwards the bans are in force, a ban lifted since the save is gone, and nothing of exile's exists twice.
func TestSavedRules(t *testing.T) {
	t.Parallel()
	flushed, added := whole("flush ruleset\\n"), whole("")
	for name, c := range map[string]struct {
		backend string
		keeper
	}{
		"nftables, flushed":  {"nftables", flushed},
		"nftables, added":    {"auto", added},
		"nftables, iptables": {"nftables", rulesOfIPTables("")},
		"nftables, legacy":   {"auto", rulesOfIPTables("-legacy")},
		"ipset, iptables":    {"ipset", rulesOfIPTables("")},
		"ipset, legacy":      {"ipset", rulesOfIPTables("-legacy")},
		"route, flushed":     {"route", flushed},
		"route, iptables":    {"route", rulesOfIPTables("")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			savedRules(t, boot(t, config(c.backend)), c.keeper)
		})
	}
}

func savedRules(t *testing.T, g *target.Target, k keeper) {
	t.Helper()
	exile, pardoned := attacker(t, g, families["IPv4"].attacker), attacker(t, g, families["IPv6"].attacker)
	inside(t, g, "sh", "-c", k.prepare)
	for _, a := range []*host.Attacker{exile, pardoned} {
		inside(t, g, "exilectl", "ban", "-q", a.Addr.String())
	}
	inside(t, g, "sh", "-c", k.save)
	inside(t, g, "exilectl", "unban", pardoned.Addr.String())
	before := own(t, g)
	for _, load := range k.loads {
		inside(t, g, "sh", "-c", load)
		if inside(t, g, "sh", "-c", k.shows) == "" {
			t.Errorf("%s: the user's rules are not there", load)
		}
		if strings.HasPrefix(load, "systemctl stop exiled") {
			continue // no exiled is there to repair anything
		}
		kept(t, g, exile, pardoned, load)
		eventually(t, load+": the kernel has the same of exile as before", func() bool { return own(t, g) == before })
	}
	if k.shows == theirs {
		reboot(t, g, []*host.Attacker{exile})
		if inside(t, g, "sh", "-c", k.shows) == "" {
			t.Error("the user's rules are not there after a boot")
		}
		kept(t, g, exile, pardoned, "boot")
	}
}

// kept waits until the one is banned and the other is not, as the status says, after that step.
func kept(t *testing.T, g *target.Target, exile, pardoned *host.Attacker, step string) {
	t.Helper()
	eventually(t, step+": the kernel has the bans that it should", func() bool {
		s := status(t, g)
		return s.Banned == 1 && s.Enforced == 1 && exile.Silent(t.Context()) == nil
	})
	eventually(t, step+": the pardoned host gets in", func() bool {
		return pardoned.Silent(t.Context()) != nil
	})
	greeted(t, pardoned)
}

// own is what the kernel has of exile, sorted, without counters and remaining times.
func own(t *testing.T, g *target.Target) string {
	t.Helper()
	return inside(t, g, "sh", "-c", fmt.Sprintf(`for f in inet ip ip6; do nft -s list table $f exile; done 2>/dev/null |
		sed 's/ timeout [0-9a-z]*//; s/ expires [0-9a-z]*//' | sort; ipset list -n | grep exile | sort; ip rule | grep %[1]d; ip -6 rule | grep %[1]d; true`, 166))
}
