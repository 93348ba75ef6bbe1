package hostaddr

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The addresses of a host are followed as they change, in a network namespace of the test's own.
func TestFollow(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root, so no network namespace can be made")
	}
	runtime.LockOSThread() // never unlocked: the thread and its namespace end with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
		t.Skip("SKIPPED: no network namespace may be made here")
	} else if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"}, PeerName: "b"}))
	a, err := netlink.LinkByName("a")
	must(err)
	b, err := netlink.LinkByName("b")
	must(err)
	must(errors.Join(netlink.LinkSetUp(a), netlink.LinkSetUp(b)))
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}}
	steps := []struct {
		do   func() error
		want []string // present from now on; a "-" before it: absent
	}{
		{func() error { return netlink.AddrAdd(a, address) }, nil},
		{func() error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: a.Attrs().Index, Gw: net.IPv4(192, 0, 2, 254)})
		}, []string{"own address 192.0.2.1/32"}},
		{func() error { return netlink.AddrDel(a, address) }, []string{"gateway 192.0.2.254/32"}},
		{
			func() error { return errors.Join(netlink.AddrAdd(a, address), netlink.LinkSetUp(b)) },
			[]string{"-own address 192.0.2.1/32", "-gateway 192.0.2.254/32"},
		},
		{func() error { // two gateways for one route
			return netlink.RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, MultiPath: []*netlink.NexthopInfo{
				{LinkIndex: a.Attrs().Index, Gw: net.IPv4(192, 0, 2, 253)}, {LinkIndex: a.Attrs().Index, Gw: net.IPv4(192, 0, 2, 252)},
			}})
		}, []string{"own address 192.0.2.1/32"}},
		{func() error { // an IPv4 route by a gateway that has only IPv6
			return netlink.RouteReplace(&netlink.Route{
				LinkIndex: a.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(198, 51, 100, 0), Mask: net.CIDRMask(24, 32)},
				Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::7")},
			})
		}, []string{"gateway 192.0.2.253/32", "gateway 192.0.2.252/32"}},
		{nil, []string{"gateway fe80::7/128"}},
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = Follow(ctx, func(own, gateways []netip.Addr) {
		if !holds(own, gateways, steps[0].want) {
			return // more news will come
		}
		if steps[0].do == nil {
			cancel()
			return
		}
		must(steps[0].do())
		steps = steps[1:]
	})
	if err != nil || len(steps) != 1 {
		t.Errorf("error %v, %d steps left", err, len(steps)-1)
	}
}

func holds(own, gateways []netip.Addr, want []string) bool {
	var list []string
	for _, a := range own {
		list = append(list, fmt.Sprintf("own address %s/%d", a, a.BitLen()))
	}
	for _, a := range gateways {
		list = append(list, fmt.Sprintf("gateway %s/%d", a, a.BitLen()))
	}
	for _, w := range want {
		present, absent := strings.CutPrefix(w, "-")
		if slices.Contains(list, present) == absent {
			return false
		}
	}
	return true
}

// What the kernel never sends is read as no gateway, and does not end in a panic.
func FuzzGateways(f *testing.F) {
	f.Add([]byte{8, 0, unix.RTA_GATEWAY, 0, 192, 0, 2, 1})
	f.Add([]byte{20, 0, unix.RTA_MULTIPATH, 0, 16, 0, 0, 0, 1, 0, 0, 0, 8, 0, unix.RTA_GATEWAY, 0, 192, 0, 2, 1})
	f.Fuzz(func(_ *testing.T, attributes []byte) {
		for _, a := range gatewaysIn(attributes) {
			_ = a.String()
		}
	})
}
