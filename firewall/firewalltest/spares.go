package firewalltest

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"exile/firewall"
)

// sparer returns the backend as what it must be, or nil if it lacks that.
func (b *bench) sparer(t *testing.T) firewall.Sparer {
	t.Helper()
	s, ok := b.Backend.(firewall.Sparer)
	if ok == b.lack(LacksSpare) {
		t.Fatalf("the backend can spare: %t, and the suite was told %t", ok, !ok)
	}
	return s
}

// whole spares all that comes from an address.
func whole(addr string) firewall.Spared {
	return firewall.Spared{Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 0)}
}

// both spares a connection of the attacker.
func both(c net.Conn) firewall.Spared {
	end := func(a net.Addr) netip.AddrPort {
		p := a.(*net.TCPAddr).AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return firewall.Spared{Remote: end(c.LocalAddr()), Local: end(c.RemoteAddr())}
}

// spare has the backend spare exactly these.
func (b *bench) spare(t *testing.T, all ...firewall.Spared) {
	t.Helper()
	s := b.Backend.(firewall.Sparer)
	if err := s.Spare(t.Context(), all); err != nil {
		t.Fatalf("Spare: %v", err)
	}
	b.spares(t, all...)
}

// spares asserts that the kernel spares exactly these.
func (b *bench) spares(t *testing.T, want ...firewall.Spared) {
	t.Helper()
	have, err := b.Backend.(firewall.Sparer).Spared(t.Context())
	if err != nil || !firewall.SameSpared(want, have) {
		t.Errorf("the kernel spares %v, %v; want %v", have, err, want)
	}
}

// connections are two of each source, of which the first is to be spared.
type connections struct{ spared, other net.Conn }

func (b *bench) connect(t *testing.T) (list []connections, all []firewall.Spared, bans []firewall.Ban) {
	t.Helper()
	for _, c := range connected {
		var pair [2]net.Conn
		for i := range pair {
			pair[i] = b.greeted(t, c.src, c.port)
		}
		list = append(list, connections{pair[0], pair[1]})
		all = append(all, both(pair[0]))
		addr := netip.MustParseAddr(c.src)
		bans = append(bans, ban(netip.PrefixFrom(addr, addr.BitLen()).String(), until()))
	}
	return list, all, bans
}

// greeted returns a connection from before the ban. A busy machine may take seconds to find out which neighbour has an address.
func (b *bench) greeted(t *testing.T, src string, port int) net.Conn {
	t.Helper()
	var failed error
	for range 5 {
		conn, err := b.dial(t, src, target(src, host4, host6), port, patience)
		if err == nil && says(conn, "before", patience) {
			return conn
		}
		failed = err
	}
	t.Fatalf("%s gets no answer before the ban: %v", src, failed)
	return nil
}

// alive asserts that what is spared still works, and that nothing new begins.
func (b *bench) alive(t *testing.T, when string, list []connections) {
	t.Helper()
	for i, c := range list {
		if !says(c.spared, when, patience) {
			t.Errorf("%s: the connection of %s that is spared is dead", when, c.spared.LocalAddr())
		}
		if i%2 == 0 { // one of each family; it takes a while
			b.shut(t, connected[i].src, connected[i].port)
		}
	}
}

// testSparesConnections: a connection that is spared lives on while its address is banned, through a flush by others, a
// repair and a restart, until it is spared no more. Another one of the same address is stopped, and so is a new one that
// comes from the very port.
func testSparesConnections(t *testing.T, b *bench) {
	if b.sparer(t) == nil {
		return
	}
	list, all, bans := b.connect(t)
	b.spare(t, all...)
	b.add(t, bans...)
	b.alive(t, "banned", list)
	if says(list[0].other, "other", impatience) {
		t.Errorf("the connection of %s that is not spared lives on", list[0].other.LocalAddr())
	}
	b.add(t, ban("10.9.7.0/24", until()), ban("10.9.0.0/24", until())) // sets and rules of other classes
	b.alive(t, "more bans", list)
	b.holds(t, append(slices.Clone(bans), ban("10.9.7.0/24", until()), ban("10.9.0.0/24", until())))

	b.host.tryExec(t, "nft", "flush", "ruleset")
	if err := b.Apply(t.Context(), b.missing(t, bans)); err != nil {
		t.Fatalf("repair: %v", err)
	}
	b.spares(t, all...)
	b.spare(t, all...)
	b.alive(t, "repaired", list)

	if err := b.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	b.alive(t, "closed", list)
	b.Backend = b.openBackend(t, b.host)
	b.spares(t, all...)
	b.add(t, ban("10.9.8.0/24", until()))
	b.spares(t, all...)
	b.alive(t, "restarted", list)

	b.comesBack(t, list[0].spared)
	b.spare(t, all[2:]...)
	if says(list[1].spared, "over", impatience) {
		t.Error("a connection that is spared no more lives on")
	}
	b.alive(t, "fewer", list[2:])
	if err := b.Destroy(t.Context()); err != nil {
		t.Fatalf("Destroy: %v", err)
	}
	b.spares(t)
	b.add(t, bans...)
	b.spares(t)
	b.banned(t, connected[2].src)
}

// comesBack ends a connection that is spared and asserts that its port begins no other.
func (b *bench) comesBack(t *testing.T, conn net.Conn) {
	t.Helper()
	from, to := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().String()
	_ = conn.(*net.TCPConn).SetLinger(0) // so that the port is free at once
	conn.Close()
	b.attacker.Do(t, func() error {
		d := net.Dialer{Timeout: impatience, LocalAddr: from}
		c, err := d.Dial("tcp", to)
		if err == nil {
			c.Close()
			t.Errorf("a new connection from %s, whose old one was spared, comes about", from)
		}
		return nil
	})
}

// testSparesAddresses: the ban of a network stops it all but the addresses that are spared.
func testSparesAddresses(t *testing.T, b *bench) {
	if b.sparer(t) == nil {
		return
	}
	bans := []firewall.Ban{ban("10.9.1.0/24", until()), ban("fd09:0:1::/64", until()), ban("fd09:0:2::/48", until())}
	b.add(t, bans...)
	b.banned(t, "10.9.1.7", "fd09:0:1::7")
	b.spare(t, whole("10.9.1.7"), whole("fd09:0:1::7"), whole("fd09:0:2:9::1"))
	b.holds(t, bans)
	b.free(t, "10.9.1.7", "fd09:0:1::7", "fd09:0:2:9::1")
	b.banned(t, "10.9.1.8", "fd09:0:1::8", "fd09:0:2:9::2")
	b.spare(t, whole("10.9.1.9"))
	b.banned(t, "10.9.1.7", "fd09:0:1::7")
	b.free(t, "10.9.1.9")
	for _, bad := range []firewall.Spared{
		{},
		{Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1")},
		{Remote: netip.MustParseAddrPort("192.0.2.1:1")},
		{Remote: netip.MustParseAddrPort("192.0.2.1:1"), Local: netip.MustParseAddrPort("[fd09::1]:1")},
		{Remote: netip.MustParseAddrPort("192.0.2.1:0"), Local: netip.MustParseAddrPort("192.0.2.2:1")},
	} {
		if err := b.Backend.(firewall.Sparer).Spare(t.Context(), []firewall.Spared{bad}); err == nil {
			t.Errorf("%v is spared", bad)
		}
	}
	b.spares(t, whole("10.9.1.9"))
	b.holds(t, bans)
}
