package firewalltest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
)

func testDrops(t *testing.T, b *bench) {
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

func testOverlap(t *testing.T, b *bench) {
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

func testPorts(t *testing.T, b *bench) {
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

// connected are sources with a connection each, over both families, to listeners of one family and of both.
var connected = []struct {
	src  string
	port int
}{{"10.9.0.2", single}, {"10.9.0.3", dual}, {"fd09:0:1::1", single}, {"fd09:0:2::1", dual}}

func testCuts(t *testing.T, b *bench) {
	for _, c := range connected {
		conn, _ := b.banConnected(t, c.src, c.port)
		if says(conn, "after", impatience) && !b.lack(LacksCut) {
			t.Errorf("%s still gets answers on its connection to port %d", c.src, c.port)
		}
	}
}

// testMeter: every packet of the banned counts, no other does, and what was counted stays when a ban is lifted.
func testMeter(t *testing.T, b *bench) {
	meter, ok := b.Backend.(firewall.Meter)
	if ok == b.lack(LacksMeter) {
		t.Fatalf("the backend counts what it drops: %t, and the suite was told %t", ok, !ok)
	}
	if !ok {
		return
	}
	dropped := func() (n uint64) {
		t.Helper()
		sets, err := meter.Dropped(t.Context())
		if err != nil {
			t.Fatalf("Dropped: %v", err)
		}
		for _, packets := range sets {
			n += packets
		}
		return n
	}
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("fd09:0:1::/64", until())}
	b.add(t, bans...)
	before := dropped()
	b.free(t, "10.9.0.3", "fd09:0:2::1")
	if n := dropped() - before; n != 0 {
		t.Errorf("%d packets of those who are not banned count as dropped", n)
	}
	for _, src := range []string{"10.9.0.2", "fd09:0:1::1"} {
		before := dropped()
		b.shut(t, src, single)
		if dropped() == before {
			t.Errorf("no packet of %s counts as dropped", src)
		}
	}
	before = dropped()
	b.del(t, bans...)
	if n := dropped(); n < before {
		t.Errorf("%d packets dropped in all, and %d before the bans were lifted", n, before)
	}
}

// Cuts bans sources that are connected and has kill, called on the host as the daemon calls it, cut what the bans are about:
// afterwards no connection works, whatever the backend lacks.
func Cuts(t *testing.T, open Open, kill func(context.Context, []firewall.Key, []firewall.Spared) (int, error)) {
	b := suite{openBackend: open}.bench(t)
	for _, c := range connected {
		conn, key := b.banConnected(t, c.src, c.port)
		b.host.Do(t, func() error {
			n, err := kill(t.Context(), []firewall.Key{key}, nil)
			if n != 1 {
				t.Errorf("%d connections of %s to port %d are cut, want 1", n, c.src, c.port)
			}
			return err
		})
		if says(conn, "after", impatience) {
			t.Errorf("%s still gets answers on its connection to port %d, whose socket is destroyed", c.src, c.port)
		}
	}
	b.ends(t)
}

// banConnected opens a connection that works, and bans who has it.
func (b *bench) banConnected(t *testing.T, src string, port int) (net.Conn, firewall.Key) {
	t.Helper()
	conn, err := b.dial(t, src, target(src, host4, host6), port, patience)
	if err != nil {
		t.Fatal(err)
	}
	if !says(conn, "before", patience) {
		t.Fatalf("%s gets no answer before the ban", src)
	}
	addr := netip.MustParseAddr(src)
	key := firewall.Key{Prefix: netip.PrefixFrom(addr, addr.BitLen())}
	b.add(t, firewall.Ban{Key: key, Until: until()})
	return conn, key
}

func testForwarded(t *testing.T, b *bench) {
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
