package route

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

// foreign puts a default route of somebody else's, as of a VPN, into a table.
func foreign(t *testing.T, ns firewalltest.NetNS, table string) {
	t.Helper()
	ns.Exec(t, "sh", "-c", "ip link set lo up; ip route add default dev lo table "+table)
}

// asked are the tables that rules of ours have asked.
func asked(t *testing.T, ns firewalltest.NetNS) (tables []string) {
	t.Helper()
	for line := range strings.Lines(ns.Exec(t, "sh", "-c", "ip rule; ip -6 rule")) {
		words := strings.Fields(line)
		if at := slices.Index(words, "lookup"); words[0] == "100:" && at > 0 {
			tables = append(tables, words[at+1])
		}
	}
	return tables
}

func wantAsked(t *testing.T, ns firewalltest.NetNS, when string, want ...string) {
	t.Helper()
	if got := asked(t, ns); !slices.Equal(got, want) {
		t.Errorf("%s: rules have tables %q asked, want %q", when, got, want)
	}
}

// TestTableOfAnother: a table with a route of others is never asked, whether that was there before us or comes later, and the bans
// are in another one; the same after a restart.
func TestTableOfAnother(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	foreign(t, ns, "166")
	b := opened(t, ns)
	want := []firewall.Ban{ban("192.0.2.1/32", soon), ban("2001:db8::/64", soon)}
	if where, err := b.Settle(t.Context()); err != nil || !strings.Contains(where, "table 168") {
		t.Errorf("Settle = %q, %v", where, err)
	}
	apply(t, b, firewall.Change{Add: want})
	wantBans(t, b, want)
	wantAsked(t, ns, "taken before us", "168", "168")

	foreign(t, ns, "168")
	if n, err := b.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("Count of what goes by another's routes = %d, %v", n, err)
	}
	wantAsked(t, ns, "taken later")
	apply(t, b, firewall.Diff(want, list(t, b)))
	wantBans(t, b, want)
	wantAsked(t, ns, "moved", "169", "169")
	b.Close()

	ns.Exec(t, "ip", "route", "flush", "table", "166")
	b = opened(t, ns)
	if c := firewall.Diff(want, list(t, b)); len(c.Del) != 0 {
		t.Errorf("after a restart %v are to be deleted", c.Del)
	}
	wantAsked(t, ns, "restarted", "169", "169")
	foreign(t, ns, "169")
	apply(t, b, firewall.Diff(want, list(t, b)))
	wantAsked(t, ns, "back", "166", "166")

	for _, table := range []string{"166", "170", "171", "172"} {
		foreign(t, ns, table)
	}
	if _, err := b.List(t.Context()); !errors.Is(err, errTaken) || !strings.Contains(err.Error(), "166, 168, 169, 170, 171, 172") {
		t.Errorf("List without a free table: %v", err)
	}
	wantAsked(t, ns, "none is free")
	if left := ns.Exec(t, "ip", "route", "show", "table", "all", "proto", "166"); left != "" {
		t.Errorf("left of ours:\n%s", left)
	}
	if theirs := ns.Exec(t, "sh", "-c", "ip route show table all | grep -c ^default"); theirs != "6\n" {
		t.Errorf("%s of the 6 routes of others are left", theirs)
	}
}

// TestTableThatIsNamed: where the table is asked for, no other is taken.
func TestTableThatIsNamed(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	foreign(t, ns, "150")
	b, err := New(Config{NetNS: ns.FD, Table: 150})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = b.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{ban("192.0.2.1/32", soon)}})
	if !errors.Is(err, errTaken) || !strings.Contains(err.Error(), "ip route show table 150") {
		t.Errorf("Apply: %v", err)
	}
	wantAsked(t, ns, "refused")
}
