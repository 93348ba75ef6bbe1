package nftables

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"

	"github.com/google/go-cmp/cmp"
	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"
)

func ban(prefix string, until time.Time) firewall.Ban {
	return firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(prefix)}, Until: until}
}

func onPort(b firewall.Ban, proto uint8, number uint16) firewall.Ban {
	b.Port = firewall.Port{Proto: proto, Number: number}
	return b
}

// everyClass has bans of all sorts, with and without an end.
func everyClass() []firewall.Ban {
	soon := time.Now().Add(time.Hour)
	var bans []firewall.Ban
	for _, p := range []string{"192.0.2.1/32", "192.0.2.0/24", "10.0.0.0/8", "2001:db8::1/128", "2001:db8::/64", "2001:db8::/47"} {
		bans = append(bans,
			ban(p, soon),
			onPort(ban(p, time.Time{}), unix.IPPROTO_TCP, 22),
			onPort(ban(p, soon), unix.IPPROTO_UDP, 65535))
	}
	return bans
}

func apply(t testing.TB, b *Backend, c firewall.Change) {
	t.Helper()
	if err := b.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func missing(t testing.TB, b *Backend, want []firewall.Ban) firewall.Change {
	t.Helper()
	have, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return firewall.Diff(want, have)
}

func wantBans(t testing.TB, b *Backend, want []firewall.Ban) {
	t.Helper()
	if c := missing(t, b, want); !c.Empty() {
		t.Errorf("kernel lacks %d bans and has %d too many: %.300v", len(c.Add), len(c.Del), c)
	}
}

// doubt makes the backend ask the kernel again: somebody made a transaction.
func doubt(t testing.TB, ns firewalltest.NetNS) {
	t.Helper()
	ns.Exec(t, "nft", "add table inet theirs; delete table inet theirs")
}

func TestRestartReadsEverySet(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	want := everyClass()
	b := opened(t, ns)
	apply(t, b, firewall.Change{Add: want})
	b.Close()
	b = opened(t, ns)
	wantBans(t, b, want)
	doubt(t, ns)
	wantBans(t, b, want)
	apply(t, b, firewall.Change{Del: []firewall.Key{want[0].Key, want[4].Key}})
	wantBans(t, b, append(want[1:4:4], want[5:]...))
}

func TestKernelHasTheNewEnd(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	b := opened(t, ns)
	bans := everyClass()
	apply(t, b, firewall.Change{Add: bans})
	for _, until := range []time.Time{time.Now().Add(48 * time.Hour), time.Now().Add(time.Minute), {}, time.Now().Add(time.Hour)} {
		for i := range bans {
			bans[i].Until = until
		}
		apply(t, b, firewall.Change{Add: bans})
		doubt(t, ns)
		wantBans(t, b, bans)
	}
}

// TestRestartWithLargeSet has more in a set than is read: what is wanted stays, what is not goes.
func TestRestartWithLargeSet(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	old := firewalltest.Many(dumpMax+5000, false, time.Now().Add(time.Hour))
	b := opened(t, ns)
	apply(t, b, firewall.Change{Add: append(old, everyClass()...)})
	b.Close()

	b = opened(t, ns)
	want := append(old[:dumpMax/2:dumpMax/2], everyClass()...)
	want = append(want, ban("203.0.113.1/32", time.Time{}))
	c := missing(t, b, want)
	if len(c.Add)+len(c.Del) < dumpMax/2 {
		t.Errorf("a restart changes %d bans, as if all had been read", len(c.Add)+len(c.Del))
	}
	apply(t, b, c)
	wantBans(t, b, want)
	doubt(t, ns) // now the kernel is asked for each of them, and for those that should be gone
	c32 := class{bits: 32}
	for _, ban := range old {
		b.sets[c32].ends[ban.Key] = ban.Until
	}
	wantBans(t, b, want)
}

// TestStrangers has others change our table in every way. List tells, one Apply repairs, and so does the next ban.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"flush ruleset",
		"delete table inet exile",
		"flush chain inet exile prerouting",
		"flush chain inet exile prerouting; delete chain inet exile prerouting",
		"insert rule inet exile prerouting accept",
		"add table inet exile { flags dormant; }",
		"flush set inet exile ipv4-32",
		"delete element inet exile ipv6-64 { 2001:db8:: }",
		"delete element inet exile ipv4-24-port { 192.0.2.0 . tcp . 22 }",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			b := opened(t, ns)
			want := everyClass()
			apply(t, b, firewall.Change{Add: want})
			ns.Exec(t, "nft", command)
			c := missing(t, b, want)
			if len(c.Add) == 0 || len(c.Del) != 0 {
				t.Fatalf("List shows nothing of it: %v", c)
			}
			apply(t, b, c)
			wantBans(t, b, want)

			ns.Exec(t, "nft", command)
			another := ban("203.0.113.1/32", time.Now().Add(time.Hour))
			apply(t, b, firewall.Change{Add: []firewall.Ban{another}})
			want = append(want, another)
			c = missing(t, b, want)
			for _, add := range c.Add {
				if add.Key == another.Key {
					t.Error("the ban that was added after it is not enforced")
				}
			}
			apply(t, b, c)
			wantBans(t, b, want)
			doubt(t, ns)
			wantBans(t, b, want)
		})
	}
}

// TestSavedRuleset has somebody save the ruleset and load it again, as hosts do that keep it in a file: it loads, and what was
// lifted since is gone again by the next comparison, with nothing there twice.
func TestSavedRuleset(t *testing.T) {
	t.Parallel()
	for name, load := range map[string]string{
		"over ours":    "nft -f %[1]s",
		"in its place": "nft 'flush ruleset; include \"%[1]s\"'",
		"twice":        "nft -f %[1]s && nft -f %[1]s",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			b := opened(t, ns)
			apply(t, b, firewall.Change{Add: everyClass()})
			if err := b.Spare(t.Context(), []firewall.Spared{{Remote: netip.MustParseAddrPort("192.0.2.1:0")}}); err != nil {
				t.Fatal(err)
			}
			touched := watch(t, b)
			file := filepath.Join(t.TempDir(), "ruleset.nft")
			ns.Exec(t, "sh", "-c", "nft add table inet theirs; nft list ruleset >"+file)
			var lifted []firewall.Key
			for _, ban := range everyClass()[1:] {
				lifted = append(lifted, ban.Key)
			}
			apply(t, b, firewall.Change{Del: lifted})
			if err := b.Spare(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			before := ns.Exec(t, "nft", "-s", "list", "table", "inet", "exile")

			ns.Exec(t, "sh", "-c", fmt.Sprintf(load, file))
			<-touched
			want := everyClass()[:1]
			c := missing(t, b, want)
			if len(c.Del) == 0 {
				t.Error("List does not show the bans that were loaded")
			}
			apply(t, b, c)
			wantBans(t, b, want)
			after := ns.Exec(t, "nft", "-s", "list", "table", "inet", "exile")
			if diff := cmp.Diff(inOrder(before), inOrder(after)); diff != "" {
				t.Errorf("the table after a comparison (-before the load +after):\n%s", diff)
			}
		})
	}
}

// inOrder has the lines of a ruleset, those about elements without when they end, in order: sets are made in no order.
func inOrder(ruleset string) []string {
	lines := strings.Split(ends.ReplaceAllString(ruleset, ""), "\n")
	slices.Sort(lines)
	return lines
}

var ends = regexp.MustCompile(` timeout \w+| expires \w+`)

// watch returns a channel that hears of strangers at the table from now on.
func watch(t *testing.T, b *Backend) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	touched, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func() { touched <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	<-touched // it listens
	return touched
}

// TestOtherForm takes over tables as versions before made them: owned, and with sets that nft makes otherwise. No ban lapses.
func TestOtherForm(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	before := own(t, ns, "exile")
	set := class{bits: 32, port: true}.set(&nft.Table{Family: nft.TableFamilyINet, Name: "exile"})
	set.Concatenation = true
	if err := errors.Join(before.AddSet(set, nil), before.Flush(), before.CloseLasting()); err != nil {
		t.Fatal(err)
	}
	b, want := opened(t, ns), everyClass()
	apply(t, b, firewall.Change{Add: want})
	wantBans(t, b, want)
	if list := ns.Exec(t, "nft", "list", "ruleset"); strings.Contains(list, "owner") || strings.Contains(list, "persist") {
		t.Errorf("the table still has flags:\n%s", list)
	}
	doubt(t, ns)
	wantBans(t, b, want)
}

// own makes a table that belongs to the connection and outlives it.
func own(t *testing.T, ns firewalltest.NetNS, name string) *nft.Conn {
	t.Helper()
	conn, err := nft.New(nft.AsLasting(), nft.WithNetNSFd(ns.FD))
	if err != nil {
		t.Fatal(err)
	}
	conn.AddTable(&nft.Table{Family: nft.TableFamilyINet, Name: name, Flags: nft.TableFlagOwner | nft.TableFlagPersist})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestTableOfAnother(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	another := own(t, ns, "exile")
	t.Cleanup(func() { _ = another.CloseLasting() })
	if err := opened(t, ns).Apply(t.Context(), firewall.Change{Add: everyClass()}); !errors.Is(err, unix.EPERM) {
		t.Errorf("Apply at the table of another program: %v", err)
	}
}

// TestForeignTable has another program hold the name of our table, owned by nobody: it keeps it.
func TestForeignTable(t *testing.T) {
	t.Parallel()
	for _, commands := range []string{
		"add table inet exile; add chain inet exile input { type filter hook input priority 0; }",
		"add table inet exile; add chain inet exile input { type filter hook input priority 0; }; " +
			"add chain inet exile prerouting { type filter hook prerouting priority -310; }",
		"add table inet exile; add chain inet exile prerouting { type filter hook prerouting priority -310; }; " +
			"add rule inet exile prerouting tcp dport 22 accept",
	} {
		t.Run(commands, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			ns.Exec(t, "nft", commands)
			before := ns.Exec(t, "nft", "list", "ruleset")
			b := opened(t, ns)
			for verb, err := range map[string]error{
				"Apply":   b.Apply(t.Context(), firewall.Change{Add: everyClass()}),
				"Destroy": b.Destroy(t.Context()),
			} {
				if !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "nft delete table inet exile") {
					t.Errorf("%s: error %v, want EEXIST with the remedy", verb, err)
				}
			}
			if err := Remove(t.Context(), Config{NetNS: ns.FD}); err != nil {
				t.Errorf("Remove: %v", err)
			}
			if after := ns.Exec(t, "nft", "list", "ruleset"); after != before {
				t.Errorf("their table was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// TestManyTransactionsOfOthers bans while another program changes the ruleset all the time.
func TestManyTransactionsOfOthers(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	other := opened(t, ns)
	other.config.Table = "theirs"
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := other.makeTable(); err != nil {
				stopped <- err
				return
			}
		}
	}()
	b := opened(t, ns)
	want := firewalltest.Many(200, true, time.Now().Add(time.Hour))
	for _, ban := range want {
		apply(t, b, firewall.Change{Add: []firewall.Ban{ban}})
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	doubt(t, ns)
	wantBans(t, b, want)
}
