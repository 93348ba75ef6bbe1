package sockdestroy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/internal/bulk"

	"github.com/google/go-cmp/cmp"
)

// pair is a connection through the loopback of a namespace, seen from both ends.
type pair struct {
	server, client net.Conn
}

// listeners are the ends that connections are made to in a namespace, by their networks.
type listeners map[string]net.Listener

// listen makes them: IPv4 at port 2201, IPv6 at 2203, one for both at 2202.
func listen(t *testing.T, ns firewalltest.NetNS) listeners {
	t.Helper()
	ls := make(listeners)
	for network, address := range map[string]string{"tcp4": ":2201", "tcp": ":2202", "tcp6": ":2203"} {
		ns.Do(t, func() (err error) {
			ls[network], err = net.Listen(network, address)
			return err
		})
		t.Cleanup(func() { ls[network].Close() })
	}
	return ls
}

// connect makes a connection from src to the listener of the network at host.
func (ls listeners) connect(t *testing.T, ns firewalltest.NetNS, network, host, src string) pair {
	t.Helper()
	var p pair
	ns.Do(t, func() (err error) {
		port := fmt.Sprint(ls[network].Addr().(*net.TCPAddr).Port)
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(src)}}
		if p.client, err = d.Dial("tcp", net.JoinHostPort(host, port)); err != nil {
			return err
		}
		p.server, err = ls[network].Accept()
		return err
	})
	t.Cleanup(func() { p.client.Close(); p.server.Close() })
	return p
}

// state reports what became of the connection: "alive" or the error that the server gets.
func (p pair) state(t *testing.T) string {
	t.Helper()
	if _, err := p.client.Write([]byte("x")); err == nil {
		_ = p.server.SetReadDeadline(time.Now().Add(2 * time.Minute))
	}
	_, err := p.server.Read(make([]byte, 1))
	switch {
	case err == nil:
		return "alive"
	case errors.Is(err, syscall.ECONNABORTED):
		return "aborted"
	default:
		return err.Error()
	}
}

// kill cuts what prefixes ban; "192.0.2.1/32 6 22" is a ban from TCP port 22.
func kill(t *testing.T, ns firewalltest.NetNS, bans ...string) int {
	t.Helper()
	var keys []firewall.Key
	for _, b := range bans {
		var k firewall.Key
		prefix, port, limited := strings.Cut(b, " ")
		k.Prefix = netip.MustParsePrefix(prefix)
		if limited {
			if _, err := fmt.Sscan(port, &k.Port.Proto, &k.Port.Number); err != nil {
				t.Fatal(err)
			}
		}
		keys = append(keys, k)
	}
	var n int
	ns.Do(t, func() (err error) {
		n, err = Kill(t.Context(), keys, nil)
		return err
	})
	return n
}

// TestKill cuts connections that differ in one thing each. The client's socket is in the same namespace and has the address
// as its own, not as its remote one: it stays.
func TestKill(t *testing.T) {
	t.Parallel()
	type sources map[string]string // by the sort of the connection
	all := sources{
		"IPv4": "127.1.0.1", "IPv4 beside it": "127.1.0.2", "IPv4 in the /24": "127.1.7.9",
		"mapped": "127.1.0.1", "mapped beside it": "127.2.0.1", "IPv6": "fd09::1", "IPv6 in the /64": "fd09:0:0:1::5",
	}
	tests := []struct {
		name string
		bans []string
		cut  []string
	}{
		{"IPv4 address", []string{"127.1.0.1/32"}, []string{"IPv4", "mapped"}},
		{"IPv4 network", []string{"127.1.7.0/24"}, []string{"IPv4 in the /24"}},
		{"IPv6 address", []string{"fd09::1/128"}, []string{"IPv6"}},
		{"IPv6 network", []string{"fd09:0:0:1::/64"}, []string{"IPv6 in the /64"}},
		{"all at once", []string{"127.1.0.0/30", "fd09::1/128", "127.1.7.9/32"}, []string{"IPv4", "IPv4 beside it", "IPv4 in the /24", "IPv6", "mapped"}},
		{"last that the kernel takes at once", many(atMost-1, "127.1.0.1/32"), []string{"IPv4", "mapped"}},
		{"first that it does not", many(atMost, "127.1.0.1/32"), []string{"IPv4", "mapped"}},
		{"what a restart brings", many(100_000, "127.1.7.0/24"), []string{"IPv4 in the /24"}},
		{"none of many", many(1000, "192.0.2.0/24"), nil},
		{"none", []string{"192.0.2.0/24", "2001:db8::/32"}, nil},
		{"no prefixes", nil, nil},
		{"port", []string{"127.1.0.1/32 6 2201"}, []string{"IPv4"}},
		{"port of IPv6, and of another protocol", []string{"fd09::/32 6 2203", "127.1.0.0/16 17 2201"}, []string{"IPv6", "IPv6 in the /64"}},
		{"port of the other side", []string{"127.0.0.1/32 6 2201"}, nil},
		{
			"port, and all of another",
			[]string{"127.1.0.1/32 6 2202", "127.1.0.0/24 6 1", "127.1.0.2/32"},
			[]string{"IPv4 beside it", "mapped"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := firewalltest.New(t)
			// Any address of these networks is the namespace's own.
			ns.Exec(t, "ip", "-6", "route", "add", "local", "fd09::/32", "dev", "lo")
			ns.Do(t, func() error { return os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0) })
			ls := listen(t, ns)
			want, got := sources{}, sources{}
			pairs := map[string]pair{}
			for name, src := range all {
				network, host := "tcp4", "127.0.0.1"
				if strings.HasPrefix(name, "mapped") {
					network = "tcp"
				} else if strings.HasPrefix(name, "IPv6") {
					network, host = "tcp6", "::1"
				}
				pairs[name] = ls.connect(t, ns, network, host, src)
				want[name] = "alive"
			}
			for _, name := range tt.cut {
				want[name] = "aborted"
			}
			if n := kill(t, ns, tt.bans...); n != len(tt.cut) {
				t.Errorf("Kill = %d, want %d", n, len(tt.cut))
			}
			for name, p := range pairs {
				got[name] = p.state(t)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("connections (-want +got):\n%s", diff)
			}
		})
	}
}

// many returns n prefixes of both families, and one more.
func many(n int, last string) []string {
	var out []string
	for i := range n {
		p := fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255)
		if i%2 == 0 {
			p = fmt.Sprintf("2001:db8:%x:%x::/64", i>>16, i&0xffff)
		}
		out = append(out, p)
	}
	return append(out, last)
}

func TestKillStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Kill(ctx, []firewall.Key{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Kill = %v, want context.Canceled", err)
	}
}

// TestWithoutDestroy has the kernel refuse as one without CONFIG_INET_DIAG_DESTROY, and as one where some connections ended
// by themselves.
func TestWithoutDestroy(t *testing.T) {
	t.Parallel()
	sockets := make([]socket, 3)
	for i := range sockets {
		sockets[i].family = syscall.AF_INET
	}
	for _, tt := range []struct {
		refused map[int]error
		cut     int
		says    string
	}{
		{map[int]error{0: syscall.EOPNOTSUPP, 1: syscall.EOPNOTSUPP, 2: syscall.EOPNOTSUPP}, 0, "CONFIG_INET_DIAG_DESTROY; set kill_connections: no"},
		{map[int]error{1: syscall.ENOENT}, 2, ""},
		{map[int]error{2: syscall.EPERM}, 2, "operation not permitted"},
	} {
		kernel := func(_ context.Context, requests []bulk.Request, _ func(int, []byte) error) (map[int]error, error) {
			if len(requests) != len(sockets) {
				t.Errorf("%d requests for %d sockets", len(requests), len(sockets))
			}
			return tt.refused, nil
		}
		n, err := destroy(t.Context(), kernel, sockets)
		if n != tt.cut || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("refused %v: %d cut, error %v; want %d and %q", tt.refused, n, err, tt.cut, tt.says)
		}
		for _, refusal := range tt.refused {
			if err != nil && !errors.Is(err, refusal) {
				t.Errorf("error %v is not %v", err, refusal)
			}
		}
	}
}

// TestWithoutDiagnosis has the kernel answer as one that cannot list sockets of TCP: no IPv6 is no failure, since there is
// nothing to cut, and for IPv4 the error says what to load.
func TestWithoutDiagnosis(t *testing.T) {
	t.Parallel()
	kernel := func(context.Context, bulk.Request, func([]byte) error) error { return syscall.ENOENT }
	keys := newBans([]firewall.Key{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}})
	if found, err := find(t.Context(), kernel, syscall.AF_INET6, keys); err != nil || found != nil {
		t.Errorf("without IPv6: %v, %v; want nothing", found, err)
	}
	_, err := find(t.Context(), kernel, syscall.AF_INET, keys)
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "load modules inet_diag and tcp_diag") {
		t.Errorf("error %v, want ENOENT with the remedy", err)
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add(make([]byte, 72))
	f.Add([]byte{syscall.AF_INET6, 1})
	f.Fuzz(func(t *testing.T, m []byte) {
		if s, err := parseSocket(m); err == nil && !s.remote().IsValid() {
			t.Errorf("socket %x has no remote address", m)
		}
	})
}

// TestFrom finds both ends of the connections of an address, and Kill leaves those alone that it is told to.
func TestFrom(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	ls := listen(t, ns)
	for _, c := range []struct{ network, host, src string }{
		{"tcp4", "127.0.0.1", "127.1.0.1"}, {"tcp", "127.0.0.1", "127.1.0.2"}, {"tcp6", "::1", "::1"},
	} {
		spared, cut := ls.connect(t, ns, c.network, c.host, c.src), ls.connect(t, ns, c.network, c.host, c.src)
		ends := func(p pair) firewall.Spared {
			end := func(a net.Addr) netip.AddrPort {
				p := a.(*net.TCPAddr).AddrPort()
				return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
			}
			return firewall.Spared{Remote: end(p.client.LocalAddr()), Local: end(p.client.RemoteAddr())}
		}
		addr := netip.MustParseAddr(c.src)
		ns.Do(t, func() error {
			found, err := From(t.Context(), []netip.Addr{addr})
			for _, p := range []pair{spared, cut} {
				if !slices.Contains(found, ends(p)) {
					t.Errorf("%v is not among %v", ends(p), found)
				}
			}
			if err != nil {
				return err
			}
			_, err = Kill(t.Context(), []firewall.Key{{Prefix: netip.PrefixFrom(addr, addr.BitLen())}}, []firewall.Spared{ends(spared)})
			return err
		})
		if cut.state(t) == "alive" || c.src != "::1" && spared.state(t) != "alive" { // of ::1 the client's socket is cut, too
			t.Errorf("%s: spared is %s, the other %s", c.src, spared.state(t), cut.state(t))
		}
	}
}
