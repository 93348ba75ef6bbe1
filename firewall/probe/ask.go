package probe

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
)

// in runs f in a namespace, an open file; 0: that of this process.
func in(ns int, f func() error) error { return firewall.InNamespace(ns, f) }

func putNative(b []byte, n uint32) { binary.NativeEndian.PutUint32(b, n) }

// ownPort is the port that questions come from.
const ownPort = 61001

// askTCP sends a SYN and waits for anything from that port. This namespace knows of no connection, so that the kernel answers a SYN with a reset,
// and the service never hears of it.
func askTCP(from, to netip.Addr, port uint16) (answered bool, err error) {
	fd, err := unix.Socket(int(family(to)), unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, sockaddr(from, 0)); err != nil {
		return false, err
	}
	if err := unix.Sendto(fd, syn(from, to, port), 0, sockaddr(to, 0)); err != nil {
		return false, err
	}
	buf := make([]byte, 2048)
	for end := time.Now().Add(patience); ; {
		left := time.Until(end)
		n, err := receive(fd, buf, left) // also when it is late: the answer may have come while this process waited for a processor
		switch {
		case err != nil:
			return false, err
		case n > 0 && answers(buf[:n], to, port):
			return true, nil
		case n == 0 && left <= 0:
			return false, nil
		}
	}
}

// receive waits for a packet; none is no error.
func receive(fd int, buf []byte, wait time.Duration) (int, error) {
	t := unix.NsecToTimeval(max(wait, time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t); err != nil {
		return 0, err
	}
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return n, err
}

// answers reports whether a packet is one of that port to ours. A raw socket of IPv4 has the header of IP before that of TCP (raw(7)), one of IPv6
// has not, and is bound to the address that asked.
func answers(packet []byte, to netip.Addr, port uint16) bool {
	if to.Is4() {
		if len(packet) < 20 || netip.AddrFrom4([4]byte(packet[12:16])) != to {
			return false
		}
		packet = packet[min(len(packet), int(packet[0]&15)*4):]
	}
	return len(packet) >= 20 && binary.BigEndian.Uint16(packet) == port && binary.BigEndian.Uint16(packet[2:]) == ownPort
}

// syn is a TCP segment that asks for a connection (RFC 9293, section 3.1).
func syn(from, to netip.Addr, port uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, ownPort)
	binary.BigEndian.PutUint16(b[2:], port)
	binary.BigEndian.PutUint32(b[4:], uint32(time.Now().UnixNano()))
	b[12], b[13] = 5<<4, 2 // five words, SYN
	binary.BigEndian.PutUint16(b[14:], 1024)
	binary.BigEndian.PutUint16(b[16:], checksum(from, to, b))
	return b
}

// checksum is that of a segment behind the pseudo header of its addresses (RFC 1071; RFC 8200, section 8.1).
func checksum(from, to netip.Addr, segment []byte) uint16 {
	sum := uint32(unix.IPPROTO_TCP) + uint32(len(segment))
	for _, part := range [][]byte{from.AsSlice(), to.AsSlice(), segment} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// askUDP sends an empty datagram. The kernel tells a socket that is connected of a port that is closed.
func askUDP(from, to netip.Addr, port uint16) (answered bool, err error) {
	fd, err := unix.Socket(int(family(to)), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, sockaddr(from, 0)), unix.Connect(fd, sockaddr(to, port))); err != nil {
		return false, err
	}
	if _, err := unix.Write(fd, nil); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
		return false, err
	}
	t := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t); err != nil {
		return false, err
	}
	_, _, err = unix.Recvfrom(fd, make([]byte, 1), 0)
	switch {
	case err == nil || errors.Is(err, unix.ECONNREFUSED):
		return true, nil
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return false, nil
	}
	return false, err
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
}
