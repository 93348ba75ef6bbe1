// Package sockdiag asks the kernel about the TCP connections of this network namespace, as `ss` does. It needs no capability
// but a kernel with the modules inet_diag and tcp_diag, which every large distribution has.
package sockdiag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"exile/firewall/internal/bulk"
)

// From linux/inet_diag.h: struct inet_diag_msg has four bytes, the id, three times four bytes, the user and the inode.
const (
	sizeofID  = 48
	headerLen = 4
	remoteAt  = headerLen + 20
	userAt    = headerLen + sizeofID + 12
	inodeAt   = userAt + 4
	sizeofMsg = inodeAt + 4
	noCookie  = ^uint64(0)
)

// The sets of states with only TCP_ESTABLISHED, which is 1, or TCP_LISTEN.
const (
	established = 1 << 1
	listening   = 1 << 10
)

// ErrGone says that no process has the connection.
var ErrGone = errors.New("no process has the connection")

// Owners finds the users behind connections from this host. Use it from one goroutine at a time. The zero value is ready to
// use.
type Owners struct{ conn *bulk.Conn }

// Owner is the user whose process has the socket at local that is connected to remote. Root of another user namespace is not
// root. ErrGone: that process has closed it.
func (o *Owners) Owner(ctx context.Context, local, remote netip.AddrPort) (uid uint32, err error) {
	if o.conn == nil {
		if o.conn, err = bulk.Dial(unix.NETLINK_INET_DIAG, 0); err != nil {
			return 0, fmt.Errorf("open socket for socket diagnosis: %w", err)
		}
	}
	uid, err = ask(ctx, o.conn.Exchange, local, remote)
	if err != nil && !errors.Is(err, ErrGone) {
		o.Close()
	}
	return uid, err
}

// Close frees the socket. Owners may be used again.
func (o *Owners) Close() {
	if o.conn != nil {
		_ = o.conn.Close() // it was only read from
		o.conn = nil
	}
}

// exchange is bulk.Conn's; tests answer in the kernel's place.
type exchange func(context.Context, []bulk.Request, func(int, []byte) error) (map[int]error, error)

func ask(ctx context.Context, do exchange, local, remote netip.AddrPort) (uid uint32, err error) {
	inode := uint32(0)
	refused, err := do(ctx, []bulk.Request{{Type: unix.SOCK_DIAG_BY_FAMILY, Body: request(local, remote)}}, func(_ int, m []byte) error {
		if len(m) < sizeofMsg {
			return bulk.ErrShort
		}
		uid, inode = binary.NativeEndian.Uint32(m[userAt:]), binary.NativeEndian.Uint32(m[inodeAt:])
		return nil
	})
	switch {
	case err != nil:
	case refused[0] != nil && !errors.Is(refused[0], unix.ENOENT):
		err = refused[0]
	case inode == 0: // closed: the kernel would say that its user is root
		return 0, ErrGone
	}
	if err != nil {
		return 0, fmt.Errorf("ask whose connection %s to %s is: %w", local, remote, err)
	}
	return uid, nil
}

// request is a struct inet_diag_req_v2 for one connection.
func request(local, remote netip.AddrPort) []byte {
	from, to := local.Addr().Unmap(), remote.Addr().Unmap()
	b := head(family(from), ^uint32(0))
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	b = appendAddr(appendAddr(b, from), to)
	b = binary.NativeEndian.AppendUint32(b, 0) // any interface
	return binary.NativeEndian.AppendUint64(b, noCookie)
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// head is the part of a struct inet_diag_req_v2 before the id.
func head(family uint8, states uint32) []byte {
	return binary.NativeEndian.AppendUint32([]byte{family, unix.IPPROTO_TCP, 0, 0}, states)
}

// appendAddr appends an address, padded to the size of the largest.
func appendAddr(b []byte, a netip.Addr) []byte {
	b = append(b, a.AsSlice()...)
	return append(b, make([]byte, 16-a.BitLen()/8)...)
}

// Remotes are the remote ends of the connections to ports of this host. The kernel looks at all TCP sockets.
func Remotes(ctx context.Context, ports []uint16) (remotes []netip.AddrPort, err error) {
	conn, err := bulk.Dial(unix.NETLINK_INET_DIAG, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket for socket diagnosis: %w", err)
	}
	defer conn.Close()
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		body := append(head(family, established), make([]byte, sizeofID)...)
		err := conn.Dump(ctx, bulk.Request{Type: unix.SOCK_DIAG_BY_FAMILY, Body: body}, func(m []byte) error {
			if len(m) < sizeofMsg {
				return bulk.ErrShort
			}
			if slices.Contains(ports, binary.BigEndian.Uint16(m[headerLen:])) {
				remotes = append(remotes, remote(m))
			}
			return nil
		})
		if errors.Is(err, unix.ENOENT) && family == unix.AF_INET6 { // the kernel runs without IPv6
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list connections at ports %d: %w", ports, err)
		}
	}
	return remotes, nil
}

// RootListens reports whether a process that is root listens at a port, on any address of this host.
func RootListens(ctx context.Context, port uint16) (found bool, err error) {
	conn, err := bulk.Dial(unix.NETLINK_INET_DIAG, 0)
	if err != nil {
		return false, fmt.Errorf("open socket for socket diagnosis: %w", err)
	}
	defer conn.Close()
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		body := binary.BigEndian.AppendUint16(head(family, listening), port)
		body = append(body, make([]byte, sizeofID-2)...)
		err := conn.Dump(ctx, bulk.Request{Type: unix.SOCK_DIAG_BY_FAMILY, Body: body}, func(m []byte) error {
			if len(m) < sizeofMsg {
				return bulk.ErrShort
			}
			found = found || binary.BigEndian.Uint16(m[headerLen:]) == port && binary.NativeEndian.Uint32(m[userAt:]) == 0
			return nil
		})
		if err != nil && (!errors.Is(err, unix.ENOENT) || family != unix.AF_INET6) { // the kernel may run without IPv6
			return false, fmt.Errorf("ask who listens at port %d: %w", port, err)
		}
	}
	return found, nil
}

// remote is the remote end in a struct inet_diag_msg.
func remote(m []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(m[headerLen+2:])
	if m[0] == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(m[remoteAt:])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(m[remoteAt:])).Unmap(), port)
}
