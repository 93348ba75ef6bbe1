// Package hostaddr follows the addresses of this host and of the gateways through which it reaches others, so that no ban cuts the host
// off itself. It changes nothing in the kernel.
package hostaddr

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// settle is how long changes are collected: addresses come and go in groups.
const settle = 200 * time.Millisecond

// groups are where the kernel reports addresses and routes.
var groups = [...]uint32{unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE}

// Follow calls changed with the host's own addresses and its gateways, at once and after each change, until ctx ends, when it
// returns nil, or it cannot go on. It follows the network namespace of the thread that it is called on. The kernel's messages say only that
// something changed; what there is now is read anew.
func Follow(ctx context.Context, changed func(own, gateways []netip.Addr)) error {
	conn, err := listen()
	if err != nil {
		return fmt.Errorf("follow own addresses: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	for {
		own, gateways, err := now()
		if err != nil {
			return fmt.Errorf("read own addresses: %w", err)
		}
		changed(own, gateways)
		if err := wait(ctx, conn); err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle):
		}
	}
}

func listen() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := conn.JoinGroup(g); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// wait returns when an address or a gateway has changed, or ctx has ended.
func wait(ctx context.Context, conn *netlink.Conn) error {
	for {
		messages, err := conn.Receive()
		switch {
		case ctx.Err() != nil, errors.Is(err, unix.ENOBUFS): // messages were lost
			return nil
		case err != nil:
			return fmt.Errorf("follow own addresses: %w", err)
		case slices.ContainsFunc(messages, matters):
			return nil
		}
	}
}

// matters reports whether a message is about an address or a gateway. Routes without a gateway are most often our own
// bans, and there may be very many of them.
func matters(m netlink.Message) bool {
	switch m.Header.Type {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return true
	default:
		return len(gatewaysOf(m)) > 0
	}
}

// now reads the addresses and the gateways that there are.
func now() (own, gateways []netip.Addr, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, nil, err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, addr.Unmap())
			}
		}
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	routes, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request | netlink.Dump}, Data: make([]byte, unix.SizeofRtMsg),
	})
	if err != nil {
		return nil, nil, err
	}
	for _, m := range routes {
		gateways = append(gateways, gatewaysOf(m)...)
	}
	return own, gateways, nil
}

// gatewaysOf are the gateways of a route: one, or several that share the load. What cannot be read has none.
func gatewaysOf(m netlink.Message) []netip.Addr {
	if m.Header.Type != unix.RTM_NEWROUTE && m.Header.Type != unix.RTM_DELROUTE || len(m.Data) < unix.SizeofRtMsg {
		return nil
	}
	return gatewaysIn(m.Data[unix.SizeofRtMsg:])
}

// gatewaysIn reads attributes of a route. The gateway of RTA_VIA is of another family than the route: struct rtvia is the
// family in two bytes, and the address.
func gatewaysIn(attributes []byte) (gateways []netip.Addr) {
	attrs, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return nil
	}
	for attrs.Next() {
		value := attrs.Bytes()
		switch {
		case attrs.Type() == unix.RTA_MULTIPATH:
			gateways = append(gateways, nextHops(value)...)
			continue
		case attrs.Type() == unix.RTA_VIA && len(value) > 2:
			value = value[2:]
		case attrs.Type() != unix.RTA_GATEWAY:
			continue
		}
		if gateway, ok := netip.AddrFromSlice(value); ok {
			gateways = append(gateways, gateway.Unmap())
		}
	}
	return gateways
}

// nextHops reads the gateways in RTA_MULTIPATH: for each a struct rtnexthop, whose length counts the attributes behind it.
func nextHops(b []byte) (gateways []netip.Addr) {
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			break
		}
		gateways = append(gateways, gatewaysIn(b[unix.SizeofRtNexthop:size])...)
		aligned := (size + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1)
		b = b[min(aligned, len(b)):]
	}
	return gateways
}
