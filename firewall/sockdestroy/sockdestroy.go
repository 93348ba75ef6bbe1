// Package sockdestroy cuts the TCP connections of banned prefixes that are already there, as `ss --kill` does. It needs
// CAP_NET_ADMIN, and a kernel with CONFIG_INET_DIAG_DESTROY, which every large distribution has.
package sockdestroy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// chunk is how many prefixes one look at all sockets takes: the kernel checks a filter in quadratic time.
	chunk    = 200
	patience = 10 * time.Second
)

// Kill aborts every TCP connection of this network namespace whose remote address lies in one of the prefixes, and returns
// how many it aborted. A prefix of IPv4 also means the connections of IPv6 sockets that speak IPv4 (::ffff:a.b.c.d). The
// process that has the connection gets ECONNABORTED at once; the remote side is sent a reset, which a ban may hold back.
// The kernel looks at all TCP sockets twice per 200 prefixes. On error some connections may be cut already.
func Kill(ctx context.Context, prefixes []netip.Prefix) (n int, err error) {
	if len(prefixes) == 0 {
		return 0, nil
	}
	conn, err := netlink.Dial(unix.NETLINK_INET_DIAG, nil)
	if err != nil {
		return 0, fmt.Errorf("open socket for socket diagnosis: %w", err)
	}
	defer conn.Close()
	for part := range slices.Chunk(prefixes, chunk) {
		for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
			killed, err := killFamily(ctx, conn, family, part)
			n += killed
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func killFamily(ctx context.Context, conn *netlink.Conn, family uint8, prefixes []netip.Prefix) (n int, err error) {
	sockets, err := find(ctx, conn, family, prefixes)
	if err != nil {
		return 0, fmt.Errorf("list connections of banned addresses: %w", err)
	}
	for _, s := range sockets {
		err := execute(ctx, conn, netlink.Message{
			Header: netlink.Header{Type: unix.SOCK_DESTROY, Flags: netlink.Request | netlink.Acknowledge},
			Data:   s.appendRequest(nil),
		}, nil)
		switch {
		case errors.Is(err, unix.ENOENT): // it ended by itself
		case errors.Is(err, unix.EOPNOTSUPP):
			return n, fmt.Errorf("cut connection of %v: kernel is built without CONFIG_INET_DIAG_DESTROY: %w", s.remote(), err)
		case err != nil:
			return n, fmt.Errorf("cut connection of %v: %w", s.remote(), err)
		default:
			n++
		}
	}
	return n, nil
}

// find returns the sockets of the family that are connected, or about to be, to an address in one of the prefixes.
func find(ctx context.Context, conn *netlink.Conn, family uint8, prefixes []netip.Prefix) ([]socket, error) {
	var found []socket
	request := appendFilter(socket{family: family}.appendRequest(nil), prefixes)
	err := execute(ctx, conn, netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
		Data:   request,
	}, func(m []byte) error {
		s, err := parseSocket(m)
		// The kernel has filtered; a kernel that did not must not make us cut everybody's connections.
		if err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(s.remote()) }) {
			found = append(found, s)
		}
		return err
	})
	if errors.Is(err, unix.ENOENT) && family == unix.AF_INET6 { // the kernel runs without IPv6
		return nil, nil
	}
	return found, err
}

// execute asks the kernel and calls each with every answer.
func execute(ctx context.Context, conn *netlink.Conn, request netlink.Message, each func([]byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	answers, err := conn.Execute(request)
	if err != nil || each == nil {
		return err
	}
	for _, m := range answers {
		if err := each(m.Data); err != nil {
			return err
		}
	}
	return nil
}

// socket names one socket of the kernel.
type socket struct {
	family uint8
	id     [sizeofID]byte // struct inet_diag_sockid, with the cookie that makes it this socket and no later one
}

const (
	sizeofID   = 48
	remoteAt   = 20 // in struct inet_diag_sockid, behind two ports and the local address
	headerSize = 4  // of struct inet_diag_msg, in front of the id
)

var errShort = errors.New("kernel sent a message that is too short")

// parseSocket reads a struct inet_diag_msg.
func parseSocket(m []byte) (socket, error) {
	if len(m) < headerSize+sizeofID {
		return socket{}, errShort
	}
	return socket{family: m[0], id: [sizeofID]byte(m[headerSize:])}, nil
}

func (s socket) remote() netip.Addr {
	if s.family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(s.id[remoteAt:]))
	}
	return netip.AddrFrom16([16]byte(s.id[remoteAt:])).Unmap()
}

// connected are the states of sockets that may be cut: not those that listen, are closed or wait for late packets.
const connected = uint32(1<<1 | // ESTABLISHED
	1<<2 | // SYN_SENT
	1<<3 | // SYN_RECV
	1<<4 | // FIN_WAIT1
	1<<5 | // FIN_WAIT2
	1<<8 | // CLOSE_WAIT
	1<<9 | // LAST_ACK
	1<<11) // CLOSING

// appendRequest appends a struct inet_diag_req_v2.
func (s socket) appendRequest(b []byte) []byte {
	b = append(b, s.family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, connected)
	return append(b, s.id[:]...)
}
