package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// This file makes links, addresses and routes, see rtnetlink(7). The kernel's headers have the numbers.

// wire is a pair of links (veth(4)) between two namespaces.
type wire struct {
	near int // namespace, as an open file; 0: that of this process
	name string
	far  int
}

// vethPeer is VETH_INFO_PEER of linux/veth.h.
const vethPeer = 1

// make makes the pair, and sets both ends up.
func (w wire) make() error {
	a := netlink.NewAttributeEncoder()
	a.String(unix.IFLA_IFNAME, w.name)
	a.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
		info.String(unix.IFLA_INFO_KIND, "veth")
		info.Nested(unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) error {
			peer := netlink.NewAttributeEncoder()
			peer.String(unix.IFLA_IFNAME, far)
			peer.Uint32(unix.IFLA_NET_NS_FD, uint32(w.far))
			b, err := peer.Encode()
			data.Bytes(vethPeer, append(linkMessage(0, 0), b...))
			return err
		})
		return nil
	})
	err := send(w.near, unix.RTM_NEWLINK, netlink.Create|netlink.Excl, linkMessage(0, 0), a)
	if err != nil {
		return err
	}
	return errors.Join(up(w.near, w.name), up(w.far, far))
}

func (w wire) address(a netip.Addr, bits int) error    { return address(w.near, w.name, a, bits) }
func (w wire) addressFar(a netip.Addr, bits int) error { return address(w.far, far, a, bits) }

// up sets a link up.
func up(ns int, name string) error {
	index, err := indexOf(ns, name)
	if err != nil {
		return err
	}
	return send(ns, unix.RTM_NEWLINK, 0, linkMessage(index, unix.IFF_UP), netlink.NewAttributeEncoder())
}

// readyTime is how long the kernel may take to notice that both ends of a pair are up. It looks once a second, and until then drops what is sent.
const readyTime = 10 * time.Second

// await waits until the pair passes packets on.
func (w wire) await() error {
	for end := time.Now().Add(readyTime); ; time.Sleep(10 * time.Millisecond) {
		near, err := running(w.near, w.name)
		if err != nil {
			return err
		}
		other, err := running(w.far, far)
		switch {
		case err != nil:
			return err
		case near && other:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("link %s does not come up", w.name)
		}
	}
}

// running reports whether a link is in operation (IFF_RUNNING).
func running(ns int, name string) (is bool, err error) {
	err = in(ns, func() error {
		link, err := net.InterfaceByName(name)
		if err == nil {
			is = link.Flags&net.FlagRunning != 0
		}
		return err
	})
	return is, err
}

// remove removes a link. One that is not there is removed.
func remove(ns int, name string) error {
	index, err := indexOf(ns, name)
	if err != nil {
		return nil //nolint:nilerror // it is not there
	}
	err = send(ns, unix.RTM_DELLINK, 0, linkMessage(index, 0), netlink.NewAttributeEncoder())
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// address gives a link an address that can be used at once.
func address(ns int, link string, a netip.Addr, bits int) error {
	index, err := indexOf(ns, link)
	if err != nil {
		return err
	}
	e := netlink.NewAttributeEncoder()
	e.Bytes(unix.IFA_LOCAL, a.AsSlice())
	e.Bytes(unix.IFA_ADDRESS, a.AsSlice())
	e.Uint32(unix.IFA_FLAGS, unix.IFA_F_NODAD)
	message := []byte{family(a), byte(bits), 0, unix.RT_SCOPE_UNIVERSE, 0, 0, 0, 0} // struct ifaddrmsg
	putNative(message[4:], uint32(index))
	return send(ns, unix.RTM_NEWADDR, netlink.Create|netlink.Excl, message, e)
}

// routeTo sends what is for the network of an address through a gateway.
func routeTo(ns int, a netip.Addr, bits int, gateway netip.Addr) error {
	e := netlink.NewAttributeEncoder()
	e.Bytes(unix.RTA_DST, netip.PrefixFrom(a, bits).Masked().Addr().AsSlice())
	e.Bytes(unix.RTA_GATEWAY, gateway.AsSlice())
	message := []byte{ // struct rtmsg
		family(a), byte(bits), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0,
	}
	return send(ns, unix.RTM_NEWROUTE, netlink.Create, message, e)
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// linkMessage is struct ifinfomsg, which sets the flags.
func linkMessage(index int, flags uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	putNative(b[4:], uint32(index))
	putNative(b[8:], flags)
	putNative(b[12:], flags)
	return b
}

// send asks a namespace's kernel for a change.
func send(ns int, kind uint16, flags netlink.HeaderFlags, message []byte, a *netlink.AttributeEncoder) error {
	attributes, err := a.Encode()
	if err != nil {
		return err
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: ns})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   append(message, attributes...),
	})
	return err
}

// indexOf returns the number of a link.
func indexOf(ns int, name string) (index int, err error) {
	err = in(ns, func() error {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return fmt.Errorf("find link %s: %w", name, err)
		}
		index = link.Index
		return nil
	})
	return index, err
}
