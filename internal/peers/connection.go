package peers

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Connection is a TCP connection, by its ends.
type Connection struct{ Local, Remote netip.AddrPort }

// look returns the connection behind a descriptor that somebody sent, who may have sent anything.
func look(fd int) (c Connection, err error) {
	for _, want := range []struct {
		option, value int
		otherwise     string
	}{
		{unix.SO_TYPE, unix.SOCK_STREAM, "it is no TCP socket"},
		{unix.SO_PROTOCOL, unix.IPPROTO_TCP, "it is no TCP socket"},
		{unix.SO_ACCEPTCONN, 0, "it listens, and has no other end"},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.option)
		if err != nil {
			return c, fmt.Errorf("it is no socket: %w", err)
		}
		if got != want.value {
			return c, errors.New(want.otherwise)
		}
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return c, fmt.Errorf("it has no address: %w", err)
	}
	remote, err := unix.Getpeername(fd)
	if err != nil {
		return c, fmt.Errorf("it is not connected: %w", err)
	}
	if c = (Connection{addrPort(local), addrPort(remote)}); !c.Local.IsValid() || !c.Remote.IsValid() {
		return c, errors.New("it is no connection of IPv4 or IPv6")
	}
	return c, nil
}

func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
