// Package sockdestroy cuts the established TCP connections of banned prefixes, as `ss --kill` does. It needs CAP_NET_ADMIN and
// a kernel with CONFIG_INET_DIAG_DESTROY, which every large distribution has.
package sockdestroy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"exile/firewall"
	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// atMost is how many prefixes a filter of the kernel may have: it checks a filter in quadratic time. If there are more, it
// shows every connection and we filter.
const atMost = 200

// Kill aborts every TCP connection of this network namespace that one of the keys bans: the remote address lies in the prefix
// and, if the ban is limited to a port, the local port is that one. It returns how many it aborted. A prefix of IPv4 includes
// IPv6 sockets that speak IPv4 (::ffff:a.b.c.d). The process gets ECONNABORTED at once; the remote end is sent a reset, which
// a ban may stop. Spared connections are not cut. The kernel looks at all TCP sockets twice, however many keys there are. On
// error some connections may be cut already.
func Kill(ctx context.Context, keys []firewall.Key, spared []firewall.Spared) (n int, err error) {
	banned := newBans(keys)
	banned.spare(spared)
	if len(banned.prefixes) == 0 {
		return 0, nil
	}
	conn, err := dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := find(ctx, conn.Dump, family, banned)
		if err != nil {
			return n, fmt.Errorf("list connections of banned addresses: %w", err)
		}
		cut, err := destroy(ctx, conn.Exchange, sockets)
		n += cut
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// From returns the TCP connections of this network namespace, not those of containers, whose remote end is one of the
// addresses. It needs no privilege.
func From(ctx context.Context, addrs []netip.Addr) (found []firewall.Spared, err error) {
	keys := make([]firewall.Key, len(addrs))
	for i, a := range addrs {
		keys[i].Prefix = netip.PrefixFrom(a, a.BitLen())
	}
	wanted := newBans(keys)
	if len(wanted.prefixes) == 0 {
		return nil, nil
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := find(ctx, conn.Dump, family, wanted)
		if err != nil {
			return nil, fmt.Errorf("list connections of sessions: %w", err)
		}
		for _, s := range sockets {
			found = append(found, s.ends())
		}
	}
	return found, nil
}

func dial() (*bulk.Conn, error) {
	conn, err := bulk.Dial(unix.NETLINK_INET_DIAG, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket for socket diagnosis: %w", err)
	}
	return conn, nil
}

// dump is bulk.Conn's; tests answer in the kernel's place.
type dump func(context.Context, bulk.Request, func([]byte) error) error

// find returns the sockets of the family that are connected, or about to be, and banned. The kernel filters by the prefixes,
// if they are few enough.
func find(ctx context.Context, list dump, family uint8, banned bans) ([]socket, error) {
	body := socket{family: family}.appendRequest(nil)
	if len(banned.prefixes) <= atMost {
		body = appendFilter(body, banned.prefixes)
	}
	var found []socket
	err := list(ctx, bulk.Request{Type: unix.SOCK_DIAG_BY_FAMILY, Body: body}, func(m []byte) error {
		s, err := parseSocket(m)
		// We check what the kernel filtered: it must not make us cut everybody's connections.
		if err == nil && banned.have(s) {
			found = append(found, s)
		}
		return err
	})
	if errors.Is(err, unix.ENOENT) && family == unix.AF_INET6 { // the kernel runs without IPv6
		return nil, nil
	}
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("load modules inet_diag and tcp_diag: %w", err)
	}
	return found, err
}

// exchange is bulk.Conn's; tests answer in the kernel's place.
type exchange func(context.Context, []bulk.Request, func(int, []byte) error) (map[int]error, error)

// destroy cuts the connections and returns how many it cut.
func destroy(ctx context.Context, ask exchange, sockets []socket) (n int, err error) {
	for part := range slices.Chunk(sockets, bulk.Max) {
		requests := make([]bulk.Request, len(part))
		for i, s := range part {
			requests[i] = bulk.Request{Type: unix.SOCK_DESTROY, Body: s.appendRequest(nil)}
		}
		refused, err := ask(ctx, requests, nil)
		if err != nil {
			return n, fmt.Errorf("cut connections of banned addresses: %w", err)
		}
		n += len(part) - len(refused)
		for i, err := range refused {
			switch {
			case errors.Is(err, unix.ENOENT): // it ended by itself
			case errors.Is(err, unix.EOPNOTSUPP):
				return n, fmt.Errorf("cut connection of %v: kernel is built without CONFIG_INET_DIAG_DESTROY; "+
					"set kill_connections: no to leave connections alone: %w", part[i].remote(), err)
			default:
				return n, fmt.Errorf("cut connection of %v: %w", part[i].remote(), err)
			}
		}
	}
	return n, nil
}

// socket names one socket of the kernel.
type socket struct {
	family uint8
	id     [sizeofID]byte // struct inet_diag_sockid, with the cookie that makes it this socket and no later one
}

const (
	sizeofID   = 48
	localAt    = 4 // in struct inet_diag_sockid, after two ports, the local one first
	remoteAt   = 20
	headerSize = 4 // of struct inet_diag_msg, in front of the id
)

var errShort = errors.New("kernel sent a message that is too short")

// parseSocket reads a struct inet_diag_msg.
func parseSocket(m []byte) (socket, error) {
	if len(m) < headerSize+sizeofID {
		return socket{}, errShort
	}
	return socket{family: m[0], id: [sizeofID]byte(m[headerSize:])}, nil
}

func (s socket) remote() netip.Addr { return s.addr(remoteAt) }

func (s socket) addr(at int) netip.Addr {
	if s.family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(s.id[at:]))
	}
	return netip.AddrFrom16([16]byte(s.id[at:])).Unmap()
}

// ends are both ends of the connection.
func (s socket) ends() firewall.Spared {
	return firewall.Spared{
		Remote: netip.AddrPortFrom(s.remote(), binary.BigEndian.Uint16(s.id[2:])),
		Local:  netip.AddrPortFrom(s.addr(localAt), s.port()),
	}
}

// port is the local port.
func (s socket) port() uint16 { return binary.BigEndian.Uint16(s.id[:]) }

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
