package firewalltest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// The lab: an attacker, who may use any address of 10.9.0.0/16 and fd09::/32, one hop from the host that is defended,
// and a container behind that host.
//
//	attacker 10.200.0.2 -- 10.200.0.1 host 10.77.0.1 -- 10.77.0.2 container
//	          fd00:200::2 -- fd00:200::1   fd00:77::1 -- fd00:77::2
const (
	host4, host6           = "10.200.0.1", "fd00:200::1"
	container4, container6 = "10.77.0.2", "fd00:77::2"

	single = 2222 // TCP: an IPv4 and an IPv6 listener. UDP: echo
	dual   = 2223 // TCP: one listener for both, which sees IPv4 as v4-mapped

	patience   = 10 * time.Second       // for what must come: only a failing test waits so long
	impatience = 300 * time.Millisecond // for a connection that must not come
)

type lab struct {
	attacker, host, container NetNS
}

func newLab(t testing.TB) lab {
	t.Helper()
	l := lab{New(t), New(t), New(t)}
	// The hardest case for blackhole routes: nothing checks where packets come from.
	l.host.sysctl(t, "ipv4/conf/all/rp_filter", "0")
	l.host.sysctl(t, "ipv4/conf/default/rp_filter", "0")
	l.host.sysctl(t, "ipv4/ip_forward", "1")
	l.host.sysctl(t, "ipv6/conf/all/forwarding", "1")
	l.attacker.sysctl(t, "ipv6/ip_nonlocal_bind", "1")
	wire(t, l.attacker, "up", l.host, "outside")
	wire(t, l.host, "inside", l.container, "up")

	l.attacker.address(t, "up", "10.200.0.2/30")
	l.attacker.address(t, "up", "fd00:200::2/64")
	l.host.address(t, "outside", host4+"/30")
	l.host.address(t, "outside", host6+"/64")
	l.host.address(t, "inside", "10.77.0.1/30")
	l.host.address(t, "inside", "fd00:77::1/64")
	l.container.address(t, "up", container4+"/30")
	l.container.address(t, "up", container6+"/64")

	l.attacker.route(t, "10.9.0.0/16", "")
	l.attacker.route(t, "fd09::/32", "")
	l.attacker.route(t, "10.77.0.0/16", host4)
	l.attacker.route(t, "fd00:77::/64", host6)
	l.host.route(t, "10.9.0.0/16", "10.200.0.2")
	l.host.route(t, "fd09::/32", "fd00:200::2")
	l.container.route(t, "10.9.0.0/16", "10.77.0.1")
	l.container.route(t, "fd09::/32", "fd00:77::1")

	serve(t, l.host)
	serve(t, l.container)
	return l
}

// serve answers on all the ports of the lab until the test ends.
func serve(t testing.TB, ns NetNS) {
	t.Helper()
	for _, at := range []struct {
		network string
		port    int
	}{{"tcp4", single}, {"tcp6", single}, {"tcp", dual}} {
		var l net.Listener
		ns.Do(t, func() (err error) {
			l, err = net.Listen(at.network, fmt.Sprintf(":%d", at.port))
			return err
		})
		t.Cleanup(func() { l.Close() })
		go echoTCP(l)
	}
	var pc net.PacketConn
	ns.Do(t, func() (err error) {
		pc, err = net.ListenPacket("udp", fmt.Sprintf(":%d", single))
		return err
	})
	t.Cleanup(func() { pc.Close() })
	go echoUDP(pc)
}

func echoTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for s := bufio.NewScanner(c); s.Scan(); {
				if _, err := fmt.Fprintln(c, s.Text()); err != nil {
					return
				}
			}
		}()
	}
}

func echoUDP(pc net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := pc.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = pc.WriteTo(buf[:n], from) // to a banned client this may fail: that is the point
		}
	}
}

// target returns the address of the host in the family of the source.
func target(src string, v4, v6 string) string {
	if netip.MustParseAddr(src).Is4() {
		return v4
	}
	return v6
}

// dial connects the attacker, as src, to a TCP port.
func (l lab) dial(t testing.TB, src, dst string, port int, wait time.Duration) (net.Conn, error) {
	t.Helper()
	var c net.Conn
	var dialErr error
	l.attacker.Do(t, func() error {
		d := net.Dialer{Timeout: wait, LocalAddr: &net.TCPAddr{IP: net.ParseIP(src)}}
		c, dialErr = d.Dial("tcp", net.JoinHostPort(dst, fmt.Sprint(port)))
		return nil
	})
	if dialErr == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, dialErr
}

// says sends a line and reports whether it came back.
func says(c net.Conn, line string, wait time.Duration) bool {
	_ = c.SetDeadline(time.Now().Add(wait))
	if _, err := fmt.Fprintln(c, line); err != nil {
		return false
	}
	got := make([]byte, len(line)+1)
	_, err := readFull(c, got)
	return err == nil && string(got) == line+"\n"
}

func readFull(c net.Conn, buf []byte) (int, error) {
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if n += m; err != nil || n == len(buf) {
			return n, err
		}
	}
}

// tcp reports whether the attacker, as src, reaches the port of dst and gets an answer.
func (l lab) tcp(t testing.TB, src, dst string, port int, wait time.Duration) bool {
	t.Helper()
	c, err := l.dial(t, src, dst, port, wait)
	if err != nil {
		return false
	}
	defer c.Close()
	return says(c, "hello", wait)
}

// open asserts that src reaches the host on the TCP port.
func (l lab) open(t testing.TB, src string, port int) {
	t.Helper()
	if !l.tcp(t, src, target(src, host4, host6), port, patience) {
		t.Errorf("%s does not reach TCP port %d of the host, and is not banned there", src, port)
	}
}

// shut asserts that src does not reach the host on the TCP port.
func (l lab) shut(t testing.TB, src string, port int) {
	t.Helper()
	if l.tcp(t, src, target(src, host4, host6), port, impatience) {
		t.Errorf("%s reaches TCP port %d of the host, and is banned there", src, port)
	}
}

// listen receives what the host gets at a UDP port of its own.
func (l lab) listen(t testing.TB) net.PacketConn {
	t.Helper()
	var pc net.PacketConn
	l.host.Do(t, func() (err error) {
		pc, err = net.ListenPacket("udp", ":0")
		return err
	})
	t.Cleanup(func() { pc.Close() })
	return pc
}

// udp reports whether a datagram from src arrives at the host, answered or not. A second datagram, from an address that
// is never banned, follows until it arrives: what was sent before it and is not there was dropped.
func (l lab) udp(t testing.TB, src string) bool {
	t.Helper()
	pc := l.listen(t)
	port := pc.LocalAddr().(*net.UDPAddr).Port
	free := target(src, "10.9.255.254", "fd09:0:ffff::1")
	arrived := false
	_ = pc.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 64); ; {
		l.send(t, src, port)
		l.send(t, free, port)
		n, _, err := pc.ReadFrom(buf)
		if err != nil {
			t.Fatalf("no datagram arrives, not even from %s, which nobody bans: %v", free, err)
		}
		if string(buf[:n]) == free {
			return arrived
		}
		arrived = true
	}
}

func (l lab) send(t testing.TB, src string, port int) {
	t.Helper()
	l.attacker.Do(t, func() error {
		pc, err := net.ListenPacket("udp", net.JoinHostPort(src, "0"))
		if err != nil {
			return err
		}
		defer pc.Close()
		dst := netip.AddrPortFrom(netip.MustParseAddr(target(src, host4, host6)), uint16(port))
		_, err = pc.WriteTo([]byte(src), net.UDPAddrFromAddrPort(dst))
		return err
	})
}
