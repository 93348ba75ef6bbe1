package sockdiag

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

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

// Those at the other end are listed, of both families, and only at the ports that were asked for.
func TestRemotes(t *testing.T) {
	t.Parallel()
	first, second := listen(t, "tcp", ":0"), listen(t, "tcp", ":0") // both families
	other := listen(t, "tcp4", "127.0.0.1:0")
	ports := []uint16{at(first.Addr()).Port(), at(second.Addr()).Port()}
	var want []netip.AddrPort
	for i, from := range []string{"127.0.0.2", "127.0.0.2", "127.0.0.3", "::1", "::1"} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(from), ports[i%2]).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		want = append(want, at(conn.LocalAddr()))
	}
	pair(t, other)
	got, err := Remotes(t.Context(), ports)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, netip.AddrPort.Compare)
	slices.SortFunc(want, netip.AddrPort.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("connections from %v, want %v", got, want)
	}
}

// Root's listeners are told from those of others, and from nobody's.
func TestRootListens(t *testing.T) {
	t.Parallel()
	root := os.Geteuid() == 0
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l := listen(t, "tcp", address)
			client, _ := pair(t, l)
			if got, err := RootListens(t.Context(), at(l.Addr()).Port()); err != nil || got != root {
				t.Errorf("%t, %v; want %t", got, err, root)
			}
			if got, err := RootListens(t.Context(), at(client.LocalAddr()).Port()); err != nil || got {
				t.Errorf("%t, %v for a port that is only connected", got, err)
			}
		})
	}
}
