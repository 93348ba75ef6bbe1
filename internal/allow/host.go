package allow

import (
	"context"
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
			_, ok := gatewayOf(m)
			return ok
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
				list = append(list, friend(addr, "own address"))
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
		if gateway, ok := gatewayOf(m); ok {
			list = append(list, friend(gateway, "gateway"))
		}
	}
	return list, nil
}

func friend(addr netip.Addr, why string) jail.Friend {
	addr = addr.Unmap().WithZone("")
	return jail.Friend{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Why: why}
}

func gatewayOf(m syscall.NetlinkMessage) (netip.Addr, bool) {
	if m.Header.Type != unix.RTM_NEWROUTE && m.Header.Type != unix.RTM_DELROUTE {
		return netip.Addr{}, false
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.RTA_GATEWAY {
			return netip.AddrFromSlice(a.Value)
		}
	}
	return netip.Addr{}, false
}
