package blocklist_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/blocklist"
	"exile/firewall/firewalltest"
)

// list makes a list of ranges such as "10.9.0.2" or "10.9.0.2-10.9.0.9".
func list(name string, ranges ...string) firewall.Blocklist {
	l := firewall.Blocklist{Name: name}
	for _, r := range ranges {
		from, to, two := strings.Cut(r, "-")
		if !two {
			to = from
		}
		l.Ranges = append(l.Ranges, firewall.Range{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)})
	}
	return l
}

func open(t *testing.T, ns firewalltest.NetNS) *blocklist.Table {
	t.Helper()
	table, err := blocklist.New(blocklist.Config{NetNS: ns.FD})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func replace(t *testing.T, table *blocklist.Table, lists ...firewall.Blocklist) {
	t.Helper()
	if err := table.Replace(t.Context(), lists); err != nil {
		t.Fatal(err)
	}
}

func TestStopsNewConnections(t *testing.T) {
	t.Parallel()
	lab := firewalltest.NewLab(t)
	table := open(t, lab.Host)
	says := lab.Connect(t, "10.9.0.5")
	replace(t, table,
		list("one", "10.9.0.2", "10.9.0.5-10.9.0.9", "10.9.1.0-10.9.1.255"),
		list("other", "10.9.2.7", "fd09:0:1::-fd09:0:1:ffff:ffff:ffff:ffff:ffff"))
	lab.Shut(t, "10.9.0.2", "10.9.0.5", "10.9.0.9", "10.9.1.0", "10.9.1.255", "10.9.2.7", "fd09:0:1::1")
	lab.Open(t, "10.9.0.1", "10.9.0.3", "10.9.0.4", "10.9.0.10", "10.9.2.0", "10.9.2.8", "fd09::1", "fd09:0:2::1")
	if lab.Passes(t, "10.9.0.2") || !lab.Passes(t, "10.9.0.3") {
		t.Error("a listed source reaches the container behind the host, or another does not")
	}
	if !says("still here") {
		t.Error("a connection that was open is cut")
	}
	dropped, err := table.Dropped()
	if err != nil || dropped["one"] == 0 || dropped["other"] == 0 {
		t.Errorf("dropped %v (%v), want some by each list", dropped, err)
	}

	replace(t, table, list("other", "10.9.2.8"))
	lab.Open(t, "10.9.0.2", "10.9.2.7", "fd09:0:1::1")
	lab.Shut(t, "10.9.2.8")
	after, err := table.Dropped()
	if err != nil || after["other"] <= dropped["other"] {
		t.Errorf("the list dropped %d packets (%v), and %d before it was replaced", after["other"], err, dropped["other"])
	}
	replace(t, table)
	lab.Open(t, "10.9.2.8")
	if left := lab.Host.Exec(t, "nft", "list", "ruleset"); strings.Contains(left, "exile") {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestOutgoing has the host connect to a listed address.
func TestOutgoing(t *testing.T) {
	t.Parallel()
	lab := firewalltest.NewLab(t)
	replace(t, open(t, lab.Host), list("one", "10.9.0.2"))
	var l net.Listener
	lab.Attacker.Do(t, func() (err error) {
		l, err = net.Listen("tcp4", "10.9.0.2:7777")
		return err
	})
	defer l.Close()
	lab.Host.Do(t, func() error {
		c, err := net.DialTimeout("tcp4", "10.9.0.2:7777", 10*time.Second)
		if err != nil {
			return fmt.Errorf("the host cannot connect to a listed address: %w", err)
		}
		return c.Close()
	})
}

func TestForeignTable(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	ns.Exec(t, "nft", "add", "table", "inet", "exile-lists")
	ns.Exec(t, "nft", "add", "chain", "inet", "exile-lists", "mine")
	err := open(t, ns).Replace(t.Context(), []firewall.Blocklist{list("one", "192.0.2.1")})
	if err == nil || !strings.Contains(err.Error(), "another program's") {
		t.Errorf("took over another program's table: %v", err)
	}
}

func TestRepairs(t *testing.T) {
	t.Parallel()
	lab := firewalltest.NewLab(t)
	table := open(t, lab.Host)
	touched := make(chan struct{}, 100)
	go func() { _ = table.Watch(t.Context(), func() { touched <- struct{}{} }) }()
	<-touched // it listens
	lists := []firewall.Blocklist{list("one", "10.9.0.2"), list("empty")}
	replace(t, table, lists...)
	if holds, err := table.Holds(); err != nil || !holds {
		t.Fatalf("holds = %t (%v) after a replacement", holds, err)
	}
	lab.Host.Exec(t, "nft", "flush", "ruleset")
	lab.Open(t, "10.9.0.2")
	if holds, err := table.Holds(); err != nil || holds {
		t.Errorf("holds = %t (%v) after nft flush ruleset", holds, err)
	}
	select {
	case <-touched:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody said that the table was touched")
	}
	replace(t, table, lists...)
	lab.Shut(t, "10.9.0.2")
}

// many is n ranges of one address each, with a gap after each.
func many(n int) firewall.Blocklist {
	l := firewall.Blocklist{Name: "many"}
	for i := range n {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 0x0b000000+uint32(2*i))
		a := netip.AddrFrom4(b)
		l.Ranges = append(l.Ranges, firewall.Range{From: a, To: a})
	}
	return l
}

func TestMany(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	table := open(t, ns)
	l := many(50_000)
	begun := time.Now()
	replace(t, table, l)
	t.Logf("%d ranges in %v", len(l.Ranges), time.Since(begun))
	for _, addr := range []netip.Addr{l.Ranges[0].From, l.Ranges[len(l.Ranges)-1].From} {
		ns.Exec(t, "nft", "get", "element", "inet", "exile-lists", "many-4-1", fmt.Sprintf("{ %s }", addr))
	}
	l.Ranges = l.Ranges[:len(l.Ranges)-1]
	replace(t, table, l) // into a second set, before the first goes
	ns.Exec(t, "nft", "get", "element", "inet", "exile-lists", "many-4-2", fmt.Sprintf("{ %s }", l.Ranges[0].From))
	if sets := ns.Exec(t, "nft", "list", "sets", "inet"); strings.Contains(sets, "many-4-1") {
		t.Error("the old set is still there")
	}
}

func BenchmarkReplace(b *testing.B) {
	ns := firewalltest.New(b)
	for _, n := range []int{100_000, 500_000} {
		l := many(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				table, err := blocklist.New(blocklist.Config{NetNS: ns.FD})
				if err == nil {
					err = table.Replace(b.Context(), []firewall.Blocklist{l})
				}
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := table.Replace(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
				table.Close()
				b.StartTimer()
			}
		})
	}
}
