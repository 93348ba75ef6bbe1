// Package firewalltest proves backends: Run holds one against the contract of firewall.Backend, with packets, in network
// namespaces of its own; Fake is a backend in memory for the tests of the daemon.
package firewalltest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
)

// Lack is something that a backend cannot do by its nature, and says so in its documentation.
type Lack string

// What a backend may lack.
const (
	LacksPorts  Lack = "ports"  // bans of one port are refused with errors.ErrUnsupported
	LacksUDP    Lack = "udp"    // datagrams of banned sources still arrive, only the answers do not leave
	LacksCut    Lack = "cut"    // packets of connections that are up still arrive: sockets are destroyed instead
	LacksExpiry Lack = "expiry" // the kernel keeps no ends: the caller lifts bans, and says their ends again after a restart
)

// Open makes the backend that is tested, in the namespace; the suite closes it.
type Open func(t *testing.T, ns NetNS) firewall.Backend

// Run holds the backend against the contract. It needs root and skips without.
func Run(t *testing.T, open Open, lacks ...Lack) {
	s := suite{openBackend: open, lacks: lacks}
	for _, c := range []struct {
		name string
		test func(*testing.T, bench)
	}{
		{"drops what is banned", testDrops},
		{"lets nothing else be", testOverlap},
		{"extends and shortens", testExtend},
		{"expires", testExpires},
		{"bans for long", testLong},
		{"limits to a port", testPorts},
		{"cuts connections", testCuts},
		{"drops forwarded traffic", testForwarded},
		{"is idempotent", testIdempotent},
		{"refuses bad keys", testBadKeys},
		{"stops when told", testCancelled},
		{"leaves bans at close", testReopen},
		{"destroys only its own", testDestroy},
		{"survives a foreign flush", testForeignFlush},
		{"holds many", testMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, s.bench(t))
		})
	}
}

type suite struct {
	openBackend Open
	lacks       []Lack
}

// bench is a lab with the backend at work on its host.
type bench struct {
	suite
	lab
	firewall.Backend
}

func (s suite) bench(t *testing.T) bench {
	t.Helper()
	l := newLab(t)
	b := bench{s, l, s.openBackend(t, l.host)}
	t.Cleanup(func() { b.Close() }) // the test may have closed it already
	b.holds(t, nil)
	return b
}

func (s suite) lack(l Lack) bool { return slices.Contains(s.lacks, l) }

// until is when a ban of the tests ends that does not say otherwise.
func until() time.Time { return time.Now().Add(time.Hour) }

func ban(prefix string, until time.Time) firewall.Ban {
	return firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(prefix)}, Until: until}
}

func (b bench) add(t *testing.T, bans ...firewall.Ban) {
	t.Helper()
	if err := b.Apply(t.Context(), firewall.Change{Add: bans}); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func (b bench) del(t *testing.T, bans ...firewall.Ban) {
	t.Helper()
	var c firewall.Change
	for _, ban := range bans {
		c.Del = append(c.Del, ban.Key)
	}
	if err := b.Apply(t.Context(), c); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// holds asserts that the kernel enforces exactly these bans.
func (b bench) holds(t *testing.T, want []firewall.Ban) {
	t.Helper()
	if c := b.missing(t, want); !c.Empty() {
		what := fmt.Sprint(c)
		t.Errorf("kernel lacks %d bans and has %d too many: %s", len(c.Add), len(c.Del), what[:min(len(what), 300)])
	}
	b.counts(t, len(want))
}

// counts asserts that the backend, if it counts, counts so many.
func (b bench) counts(t *testing.T, want int) {
	t.Helper()
	c, ok := b.Backend.(firewall.Counter)
	if !ok {
		return
	}
	if n, err := c.Count(t.Context()); err != nil || n != want {
		t.Errorf("Count = %d, %v; want %d", n, err, want)
	}
}

func (b bench) missing(t *testing.T, want []firewall.Ban) firewall.Change {
	t.Helper()
	have, err := b.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return firewall.Diff(want, have)
}

// banned asserts that nothing from the source arrives.
func (b bench) banned(t *testing.T, sources ...string) {
	t.Helper()
	for _, src := range sources {
		b.shut(t, src, single)
		b.shut(t, src, dual)
		if b.udp(t, src) != b.lack(LacksUDP) {
			t.Errorf("datagram from %s: arrived = %t, want %t", src, !b.lack(LacksUDP), b.lack(LacksUDP))
		}
	}
}

// free asserts that everything from the source arrives.
func (b bench) free(t *testing.T, sources ...string) {
	t.Helper()
	for _, src := range sources {
		b.open(t, src, single)
		b.open(t, src, dual)
		if !b.udp(t, src) {
			t.Errorf("datagram from %s does not arrive", src)
		}
	}
}

func testDrops(t *testing.T, b bench) {
	for _, c := range []struct {
		prefix       string
		inside, near []string
	}{
		{"10.9.0.2/32", []string{"10.9.0.2"}, []string{"10.9.0.3", "fd09::2"}},
		{"10.9.1.0/24", []string{"10.9.1.0", "10.9.1.255"}, []string{"10.9.0.255", "10.9.2.0"}},
		{"fd09:0:1::2/128", []string{"fd09:0:1::2"}, []string{"fd09:0:1::3"}},
		{"fd09:0:2:1::/64", []string{"fd09:0:2:1::", "fd09:0:2:1:ffff::9"}, []string{"fd09:0:2:2::1"}},
		{"fd09:0:3::/48", []string{"fd09:0:3:7::1"}, []string{"fd09:0:4::1"}},
	} {
		ban := ban(c.prefix, until())
		b.free(t, c.inside[0])
		b.add(t, ban)
		b.holds(t, []firewall.Ban{ban})
		b.banned(t, c.inside...)
		b.free(t, c.near...)
		b.del(t, ban)
		b.holds(t, nil)
		b.free(t, c.inside...)
	}
}

func testOverlap(t *testing.T, b bench) {
	wide, narrow := ban("10.9.1.0/24", until()), ban("10.9.1.7/32", until().Add(time.Hour))
	wide6, narrow6 := ban("fd09:0:1::/48", until()), ban("fd09:0:1:7::/64", until().Add(time.Hour))
	b.add(t, narrow, wide, wide6, narrow6)
	b.holds(t, []firewall.Ban{wide, narrow, wide6, narrow6})
	b.banned(t, "10.9.1.7", "10.9.1.8", "fd09:0:1:7::1", "fd09:0:1:8::1")
	b.del(t, wide, wide6)
	b.holds(t, []firewall.Ban{narrow, narrow6})
	b.banned(t, "10.9.1.7", "fd09:0:1:7::1")
	b.free(t, "10.9.1.8", "fd09:0:1:8::1")
	b.add(t, wide, wide6)
	b.del(t, narrow, narrow6)
	b.holds(t, []firewall.Ban{wide, wide6})
	b.banned(t, "10.9.1.7", "10.9.1.8", "fd09:0:1:7::1")
}

// shortly is a ban that ends while the test runs.
const shortly = 3 * time.Second

func testExtend(t *testing.T, b bench) {
	soon := time.Now().Add(shortly)
	longer := []firewall.Ban{ban("10.9.0.2/32", soon), ban("10.9.1.0/24", soon), ban("fd09:0:1::/64", soon)}
	b.add(t, longer...)
	for i := range longer {
		longer[i].Until = until()
	}
	b.add(t, longer...)
	shorter := ban("10.9.0.3/32", until())
	b.add(t, shorter)
	shorter.Until = time.Now().Add(shortly)
	b.add(t, shorter)
	b.holds(t, append(slices.Clone(longer), shorter))

	time.Sleep(time.Until(shorter.Until) + time.Second)
	if !b.lack(LacksExpiry) {
		b.free(t, "10.9.0.3")
		b.holds(t, longer)
	}
	b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
}

func testExpires(t *testing.T, b bench) {
	if b.lack(LacksExpiry) {
		t.Skip("the kernel keeps no timeouts for this backend")
	}
	soon := time.Now().Add(shortly)
	b.add(t, ban("10.9.0.2/32", soon), ban("10.9.1.0/24", soon), ban("fd09:0:1::/64", soon), ban("fd09::1/128", soon))
	b.banned(t, "10.9.0.2") // the others take as long: one is enough before the end
	time.Sleep(time.Until(soon) + time.Second)
	b.free(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1", "fd09::1")
	b.holds(t, nil)

	over := ban("10.9.0.2/32", time.Now().Add(-time.Second))
	b.add(t, over)
	b.free(t, "10.9.0.2")
	b.holds(t, nil)
}

func testLong(t *testing.T, b bench) {
	bans := []firewall.Ban{
		ban("10.9.0.2/32", time.Time{}),
		ban("10.9.1.0/24", time.Now().Add(60*24*time.Hour)),
		ban("fd09:0:1::/64", time.Time{}),
		ban("fd09:0:2::/64", time.Now().Add(10*365*24*time.Hour)),
	}
	b.add(t, bans...)
	b.holds(t, bans)
	b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1", "fd09:0:2::1")
	for i := range bans { // permanent becomes limited and the other way round
		bans[i].Until = until()
	}
	bans[1].Until = time.Time{}
	b.add(t, bans...)
	b.holds(t, bans)
	b.del(t, bans...)
	b.holds(t, nil)
}

func testPorts(t *testing.T, b bench) {
	tcp := firewall.Port{Proto: unix.IPPROTO_TCP, Number: single}
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("fd09:0:1::/64", until()), ban("10.9.1.0/24", time.Time{})}
	for i := range bans {
		bans[i].Port = tcp
	}
	if b.lack(LacksPorts) {
		whole := ban("10.9.0.9/32", until())
		err := b.Apply(t.Context(), firewall.Change{Add: append(bans, whole)})
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("ban of one port: error %v, want one that is errors.ErrUnsupported", err)
		}
		b.holds(t, nil)
		return
	}
	b.add(t, bans...)
	b.holds(t, bans)
	for _, src := range []string{"10.9.0.2", "10.9.1.200", "fd09:0:1::1"} {
		b.shut(t, src, single)
		b.open(t, src, dual)
		if !b.udp(t, src) {
			t.Errorf("datagram from %s does not arrive, and one TCP port is banned", src)
		}
	}
	b.free(t, "10.9.0.3", "fd09:0:2::1")

	whole := ban("10.9.0.2/32", until()) // the same prefix: another key
	b.add(t, whole)
	b.holds(t, append(slices.Clone(bans), whole))
	b.banned(t, "10.9.0.2")
	b.del(t, whole)
	b.holds(t, bans)
	b.shut(t, "10.9.0.2", single)
	b.open(t, "10.9.0.2", dual)
	b.del(t, bans...)
	b.holds(t, nil)
	b.free(t, "10.9.0.2", "fd09:0:1::1")
}

func testCuts(t *testing.T, b bench) {
	for _, c := range []struct {
		src  string
		port int
	}{{"10.9.0.2", single}, {"10.9.0.3", dual}, {"fd09:0:1::1", single}, {"fd09:0:2::1", dual}} {
		conn, err := b.dial(t, c.src, target(c.src, host4, host6), c.port, patience)
		if err != nil {
			t.Fatal(err)
		}
		if !says(conn, "before", patience) {
			t.Fatalf("%s gets no answer before the ban", c.src)
		}
		addr := netip.MustParseAddr(c.src)
		b.add(t, firewall.Ban{Key: firewall.Key{Prefix: netip.PrefixFrom(addr, addr.BitLen())}, Until: until()})
		if says(conn, "after", impatience) && !b.lack(LacksCut) {
			t.Errorf("%s still gets answers on its connection to port %d", c.src, c.port)
		}
	}
}

func testForwarded(t *testing.T, b bench) {
	b.add(t, ban("10.9.0.2/32", until()), ban("fd09:0:1::/64", until()))
	for _, c := range []struct {
		src  string
		wait time.Duration
		want bool
	}{
		{"10.9.0.2", impatience, false},
		{"10.9.0.3", patience, true},
		{"fd09:0:1::1", impatience, false},
		{"fd09:0:2::1", patience, true},
	} {
		if got := b.tcp(t, c.src, target(c.src, container4, container6), single, c.wait); got != c.want {
			t.Errorf("%s reaches the container = %t, want %t", c.src, got, c.want)
		}
	}
}

func testIdempotent(t *testing.T, b bench) {
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("10.9.1.0/24", time.Time{}), ban("fd09:0:1::/64", until())}
	for range 2 {
		b.add(t, bans...)
		b.holds(t, bans)
	}
	b.add(t, bans[0], bans[0]) // twice in one change
	for range 2 {
		b.del(t, bans[:2]...)
		b.holds(t, bans[2:])
	}
	b.del(t, bans[2], bans[2])
	b.holds(t, nil)
	if err := b.Apply(t.Context(), firewall.Change{}); err != nil {
		t.Errorf("empty change: %v", err)
	}
	for range 2 {
		if err := b.Destroy(t.Context()); err != nil {
			t.Errorf("Destroy: %v", err)
		}
		b.holds(t, nil)
	}
	b.add(t, bans...) // a destroyed backend can be used again
	b.holds(t, bans)
	b.banned(t, "10.9.0.2", "fd09:0:1::1")
}

func testBadKeys(t *testing.T, b bench) {
	good := ban("10.9.0.2/32", until())
	for _, p := range []netip.Prefix{
		{},
		netip.PrefixFrom(netip.MustParseAddr("10.9.0.2"), 24),
		netip.PrefixFrom(netip.MustParseAddr("::ffff:10.9.0.2"), 128),
		netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("::/0"),
	} {
		bad := firewall.Ban{Key: firewall.Key{Prefix: p}, Until: until()}
		if err := b.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{good, bad}}); err == nil {
			t.Errorf("ban of %v: no error", p)
		}
	}
	b.holds(t, nil)
}

func testCancelled(t *testing.T, b bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List with a cancelled context: error %v", err)
	}
	err := b.Apply(ctx, firewall.Change{Add: []firewall.Ban{ban("10.9.0.2/32", until())}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Apply with a cancelled context: error %v", err)
	}
	b.holds(t, nil)
}

func testReopen(t *testing.T, b bench) {
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("10.9.1.0/24", time.Time{}), ban("fd09:0:1::/64", until())}
	b.add(t, bans...)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
		again := b.openBackend(t, b.host)
		t.Cleanup(func() { again.Close() })
		b.Backend = again
		if b.lack(LacksExpiry) {
			b.add(t, b.missing(t, bans).Add...)
		}
		b.holds(t, bans)
		b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
	}
	b.del(t, bans...)
	b.free(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
}
