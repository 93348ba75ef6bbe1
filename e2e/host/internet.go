package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The addresses of the host, and of the router that its default routes name. All are reserved for documentation (RFC 5737,
// 3849).
var (
	V4 = netip.MustParseAddr("192.0.2.1")
	V6 = netip.MustParseAddr("2001:db8::1")

	host4, router4 = netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.254/24")
	host6, router6 = netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::fe/64")

	// neighbour6 is the host's address for its neighbours on the link.
	neighbour6 = netip.MustParsePrefix("fe80::1/64")
)

// wireName is the internet's end of the link to the host.
const wireName = "host"

// internet is a network namespace that owns every address except the host's. Attackers are addresses in it.
type internet struct {
	file *os.File        // the namespace
	link *netlink.Handle // talks to its kernel side
}

func newInternet() (*internet, error) {
	n := &internet{}
	made := make(chan error)
	onThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	})
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	link, err := netlink.NewHandleAt(netns.NsHandle(n.file.Fd()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), n.file.Close())
	}
	n.link = link
	if err := up(link, "lo"); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *internet) close() {
	n.link.Close()
	_ = n.file.Close() // it was opened only to read a name
}

// do runs f on a thread in the internet. Processes that f starts are in it too, and should end before f does.
func (n *internet) do(f func() error) error {
	done := make(chan error)
	onThread(func() {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		done <- f()
	})
	return <-done
}

// plug joins the internet with the network namespace of a host's PID 1. The link goes away with the host.
func (n *internet) plug(pid int) error {
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer func() { _ = there.Close() }()
	inside, err := netlink.NewHandleAt(netns.NsHandle(there.Fd()))
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer inside.Close()
	if old, err := n.link.LinkByName(wireName); err == nil {
		_ = n.link.LinkDel(old) // from the last boot: the kernel removes it, but later
	}
	wire := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: wireName}, PeerName: "eth0", PeerNamespace: netlink.NsFd(there.Fd()),
	}
	if err := n.link.LinkAdd(wire); err != nil {
		return fmt.Errorf("add veth: %w", err)
	}
	if err := errors.Join(address(n.link, wireName, router4, router6), address(inside, "eth0", host4, host6, neighbour6)); err != nil {
		return err
	}
	return errors.Join(route(inside, "eth0", router4.Addr()), route(inside, "eth0", router6.Addr()))
}

func up(link *netlink.Handle, name string) error {
	l, err := link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if err := link.LinkSetUp(l); err != nil {
		return fmt.Errorf("turn on %s: %w", name, err)
	}
	return nil
}

// address gives a link addresses that can be used at once (no duplicate address detection), and turns it on.
func address(link *netlink.Handle, name string, prefixes ...netip.Prefix) error {
	l, err := link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	for _, p := range prefixes {
		a, err := netlink.ParseAddr(p.String())
		if err != nil {
			return err
		}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := link.AddrReplace(l, a); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	return up(link, name)
}

func route(link *netlink.Handle, name string, via netip.Addr) error {
	l, err := link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if err := link.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("add default route by %s: %w", via, err)
	}
	return nil
}
