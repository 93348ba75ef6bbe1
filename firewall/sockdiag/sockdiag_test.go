package sockdiag

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/firewall/internal/bulk"
)

// pair is a connection over the loopback, seen from both ends.
func pair(t *testing.T, l net.Listener) (client, server *net.TCPConn) {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), s.Close() })
	client, _ = c.(*net.TCPConn)
	server, _ = s.(*net.TCPConn)
	return client, server
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Skip("SKIPPED, NOT TESTED: there is no IPv6")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func at(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// The kernel knows whose a connection is, and that nobody has it any more.
func TestOwner(t *testing.T) {
	t.Parallel()
	var owners Owners
	defer owners.Close()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			client, server := pair(t, listen(t, "tcp", address))
			if uid, err := owners.Owner(t.Context(), at(server.RemoteAddr()), at(server.LocalAddr())); err != nil || uid != uint32(os.Geteuid()) {
				t.Errorf("owner %d, %v; want %d", uid, err, os.Geteuid())
			}
			_ = client.Close()
			if uid, err := owners.Owner(t.Context(), at(server.RemoteAddr()), at(server.LocalAddr())); !errors.Is(err, ErrGone) {
				t.Errorf("owner of what is closed: %d, %v", uid, err)
			}
		})
	}
}

// What the kernel says is not taken on trust.
func TestOwnerOfBadAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body    []byte
		refused error
		want    error
	}{
		"short":     {make([]byte, sizeofMsg-1), nil, bulk.ErrShort},
		"refused":   {nil, unix.EINVAL, unix.EINVAL},
		"not there": {nil, unix.ENOENT, ErrGone},
		"orphan":    {make([]byte, sizeofMsg), nil, ErrGone},
	} {
		answer := func(_ context.Context, _ []bulk.Request, each func(int, []byte) error) (map[int]error, error) {
			if tt.body != nil {
				if err := each(0, tt.body); err != nil {
					return nil, err
				}
			}
			return map[int]error{0: tt.refused}, nil
		}
		if _, err := ask(t.Context(), answer, netip.AddrPort{}, netip.AddrPort{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Those at the other end are counted by address, of both families, and only at the port that was asked for.
func TestRemotes(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", ":0") // both families
	other := listen(t, "tcp4", "127.0.0.1:0")
	port := at(l.Addr()).Port()
	for _, c := range []struct {
		from string
		n    int
	}{{"127.0.0.2", 3}, {"127.0.0.3", 1}, {"::1", 2}} {
		for range c.n {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
			to := netip.AddrPortFrom(netip.MustParseAddr(c.from), port)
			conn, err := d.Dial("tcp", to.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
	}
	pair(t, other)
	got, err := Remotes(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	want := map[netip.Addr]int{
		netip.MustParseAddr("127.0.0.2"): 3, netip.MustParseAddr("127.0.0.3"): 1, netip.MustParseAddr("::1"): 2,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("connections (-want +got):\n%s", diff)
	}
	if err := count(got, port, make([]byte, sizeofMsg-1)); !errors.Is(err, bulk.ErrShort) {
		t.Errorf("a short message: %v", err)
	}
}
