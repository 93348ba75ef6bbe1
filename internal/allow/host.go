package allow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"exile/jail"
)

// Host is this host: its own addresses, and its gateways, without which it would be cut off itself. It follows the
// network namespace of the thread that calls Follow.
type Host struct{}

// settle is how long changes are collected: addresses come and go in groups.
const settle = 200 * time.Millisecond

// Follow implements Addresses. The kernel's messages say only that something changed; what it is now is read anew.
func (Host) Follow(ctx context.Context, changed func([]jail.Friend)) error {
	file, err := routeSocket()
	if err != nil {
		return fmt.Errorf("follow own addresses: %w", err)
	}
	defer file.Close()
	defer context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })()
	buffer := make([]byte, 1<<16)
	for {
		list, err := own()
		if err != nil {
			return fmt.Errorf("read own addresses: %w", err)
		}
		changed(list)
		for news := false; !news; {
			n, err := file.Read(buffer)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, unix.ENOBUFS): // messages were lost
				news = true
			case err != nil:
				return fmt.Errorf("follow own addresses: %w", err)
			default:
				news = matters(buffer[:n])
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle):
		}
	}
}

func routeSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	groups := uint32(unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "route netlink"), nil
}

// matters reports whether a message is about an address or a gateway. Routes without a gateway are most often our own
// bans, and there may be very many of them.
func matters(message []byte) bool {
	messages, err := syscall.ParseNetlinkMessage(message)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(messages, func(m syscall.NetlinkMessage) bool {
		switch m.Header.Type {
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			return true
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			return len(gatewaysOf(m)) > 0
		default:
			return false
		}
	})
}

// own reads the addresses and the gateways that there are now.
func own() ([]jail.Friend, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var list []jail.Friend
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, friend(addr, jail.OwnAddress))
			}
		}
	}
	table, err := syscall.NetlinkRIB(unix.RTM_GETROUTE, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	routes, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return nil, err
	}
	for _, m := range routes {
		for _, gateway := range gatewaysOf(m) {
			list = append(list, friend(gateway, "gateway"))
		}
	}
	return list, nil
}

func friend(addr netip.Addr, why string) jail.Friend {
	addr = addr.Unmap().WithZone("")
	return jail.Friend{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Why: why}
}

// gatewaysOf are the gateways of a route: one, or several that share the load.
func gatewaysOf(m syscall.NetlinkMessage) (gateways []netip.Addr) {
	if m.Header.Type != unix.RTM_NEWROUTE && m.Header.Type != unix.RTM_DELROUTE {
		return nil
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return nil
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.RTA_MULTIPATH {
			gateways = append(gateways, nextHops(a.Value)...)
		} else if gateway, ok := gateway(a.Attr.Type, a.Value); ok {
			gateways = append(gateways, gateway)
		}
	}
	return gateways
}

// gateway reads an attribute of a route. The gateway of RTA_VIA is of another family than the route: struct rtvia is the
// family in two bytes, and the address.
func gateway(typ uint16, value []byte) (netip.Addr, bool) {
	switch {
	case typ == unix.RTA_GATEWAY:
		return netip.AddrFromSlice(value)
	case typ == unix.RTA_VIA && len(value) > 2:
		return netip.AddrFromSlice(value[2:])
	default:
		return netip.Addr{}, false
	}
}

// nextHops reads the gateways in RTA_MULTIPATH: for each a struct rtnexthop, whose length counts the attributes behind it.
func nextHops(b []byte) (gateways []netip.Addr) {
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			break
		}
		for attrs := b[unix.SizeofRtNexthop:size]; len(attrs) >= unix.SizeofRtAttr; {
			n := int(binary.NativeEndian.Uint16(attrs))
			if n < unix.SizeofRtAttr || n > len(attrs) {
				break
			}
			if gateway, ok := gateway(binary.NativeEndian.Uint16(attrs[2:]), attrs[unix.SizeofRtAttr:n]); ok {
				gateways = append(gateways, gateway)
			}
			attrs = attrs[min(align(n), len(attrs)):]
		}
		b = b[min(align(size), len(b)):]
	}
	return gateways
}

// align is where the next structure of netlink begins.
func align(n int) int { return (n + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1) }
