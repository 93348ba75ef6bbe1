package firewalltest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"exile/firewall"
)

// NetNS is a network namespace that a test made; it goes when the test ends.
type NetNS struct {
	FD int // open file of the namespace, for netlink.NewHandleAt and the like
}

// New makes an empty network namespace with its loopback up. It skips the test where that is not allowed.
func New(t testing.TB) NetNS {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: network namespaces need root")
	}
	var ns NetNS
	err := firewall.InNamespace(ownNamespace(t), func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns.FD, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatalf("make network namespace: %v", err)
	}
	t.Cleanup(func() { unix.Close(ns.FD) })
	ns.setUp(t, "lo")
	return ns
}

func ownNamespace(t testing.TB) int {
	fd, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open own network namespace: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Do calls f on a thread inside the namespace. The sockets that f opens itself stay there.
func (ns NetNS) Do(t testing.TB, f func() error) {
	t.Helper()
	if err := firewall.InNamespace(ns.FD, f); err != nil {
		t.Fatal(err)
	}
}

// Exec runs a system tool inside the namespace and returns what it printed. It skips the test if the tool is missing.
func (ns NetNS) Exec(t testing.TB, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	var out []byte
	ns.Do(t, func() (err error) {
		out, err = exec.Command(path, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
		}
		return nil
	})
	return string(out)
}

// Handle returns a netlink handle for routes, addresses and links of the namespace.
func (ns NetNS) Handle(t testing.TB) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.FD), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatalf("open netlink in namespace: %v", err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func (ns NetNS) sysctl(t testing.TB, key, value string) {
	t.Helper()
	ns.Do(t, func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

func (ns NetNS) setUp(t testing.TB, link string) {
	t.Helper()
	h := ns.Handle(t)
	l, err := h.LinkByName(link)
	if err == nil {
		err = h.LinkSetUp(l)
	}
	if err != nil {
		t.Fatalf("set up %s: %v", link, err)
	}
}

// address gives the link an address that can be used at once.
func (ns NetNS) address(t testing.TB, link, prefix string) {
	t.Helper()
	h := ns.Handle(t)
	l, err := h.LinkByName(link)
	if err != nil {
		t.Fatalf("find %s: %v", link, err)
	}
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(l, addr); err != nil {
		t.Fatalf("give %s to %s: %v", prefix, link, err)
	}
}

// route sends traffic to dst through the neighbour via; an invalid via makes dst the namespace's own.
func (ns NetNS) route(t testing.TB, dst, via string) {
	t.Helper()
	h := ns.Handle(t)
	ipnet, err := netlink.ParseIPNet(dst)
	if err != nil {
		t.Fatal(err)
	}
	r := &netlink.Route{Dst: ipnet}
	if gw, err := netip.ParseAddr(via); err == nil {
		r.Gw = gw.AsSlice()
	} else {
		lo, err := h.LinkByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		r.Type, r.Table, r.LinkIndex = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, lo.Attrs().Index
		r.Scope = netlink.SCOPE_HOST
	}
	if err := h.RouteAdd(r); err != nil {
		t.Fatalf("route %s via %q: %v", dst, via, err)
	}
}

// wire joins two namespaces by a pair of links, both up.
func wire(t testing.TB, a NetNS, nameA string, b NetNS, nameB string) {
	t.Helper()
	err := a.Handle(t).LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: nameA},
		PeerName:      nameB,
		PeerNamespace: netlink.NsFd(b.FD),
	})
	if err != nil {
		t.Fatalf("wire %s to %s: %v", nameA, nameB, err)
	}
	a.setUp(t, nameA)
	b.setUp(t, nameB)
}
