// Package probe makes a network of its own beside this host's and sends packets from there, to see what reaches the host and what does not.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
)

// Place is an end of the host's wires, in one family of addresses.
type Place struct {
	Offender, Neighbour netip.Addr // of strangers, who are the host's neighbours on the wire
	Host                netip.Addr // of the host there
	Guest               netip.Addr // behind the host, which forwards to it
}

// IPv4 and IPv6 are ranges for documentation (RFC 5737, RFC 3849), which no host has by right. They are parts that examples seldom use.
func IPv4() Place {
	a := netip.MustParseAddr
	return Place{a("203.0.113.242"), a("203.0.113.243"), a("203.0.113.241"), a("198.51.100.242")}
}

// IPv6 is IPv4 for the other family.
func IPv6() Place {
	a := netip.MustParseAddr
	return Place{a("2001:db8:e11e::2"), a("2001:db8:e11e::3"), a("2001:db8:e11e::1"), a("2001:db8:e11f::2")}
}

// The wires' ends on the host, and at the other side, and the lengths of their networks.
const (
	outside, inside = "exile-doctor-o", "exile-doctor-i"
	far             = "eth0"
	bits4, bits6    = 29, 64
)

// Lab is two namespaces and the wires to them. The kernel keeps a namespace only while somebody has it open, and a wire only while both of its
// ends have one: whatever ends this process ends the lab, too.
type Lab struct {
	host             int // the namespace of the host; 0: that of this process
	strangers, guest int
	six              error // why there is no IPv6
}

// New makes a lab beside the host's namespace, an open file; 0 is that of this process. It takes root.
func New(host int) (l *Lab, err error) {
	l = &Lab{host: host, strangers: -1, guest: -1}
	defer func() {
		if err != nil {
			_ = l.Close() // what was made in part
			l = nil
		}
	}()
	for _, ns := range []*int{&l.strangers, &l.guest} {
		if *ns, err = newNamespace(); err != nil {
			return l, fmt.Errorf("make a network namespace: %w", err)
		}
	}
	v4, v6 := IPv4(), IPv6()
	out, in := wire{l.host, outside, l.strangers}, wire{l.host, inside, l.guest}
	err = errors.Join(out.make(), in.make())
	if err == nil {
		err = errors.Join(out.await(), in.await())
	}
	if err != nil {
		return l, fmt.Errorf("make a pair of links: %w", err)
	}
	err = errors.Join(
		out.address(v4.Host, bits4), in.address(v4.Guest.Prev(), bits4),
		out.addressFar(v4.Offender, bits4), out.addressFar(v4.Neighbour, bits4), in.addressFar(v4.Guest, bits4),
		routeTo(l.strangers, v4.Guest, bits4, v4.Host), routeTo(l.guest, v4.Host, bits4, v4.Guest.Prev()),
	)
	if err != nil {
		return l, fmt.Errorf("set up the test network: %w", err)
	}
	l.six = errors.Join(
		out.address(v6.Host, bits6), in.address(v6.Guest.Prev(), bits6),
		out.addressFar(v6.Offender, bits6), out.addressFar(v6.Neighbour, bits6), in.addressFar(v6.Guest, bits6),
		routeTo(l.strangers, v6.Guest, bits6, v6.Host), routeTo(l.guest, v6.Host, bits6, v6.Guest.Prev()),
	)
	return l, nil
}

// WithoutIPv6 says why the lab has no IPv6; nil: it has.
func (l *Lab) WithoutIPv6() error { return l.six }

// Forwards reports whether the host forwards packets of that family.
func (l *Lab) Forwards(six bool) bool {
	name := "/proc/sys/net/ipv4/ip_forward"
	if six {
		name = "/proc/sys/net/ipv6/conf/all/forwarding"
	}
	var value []byte
	_ = firewall.InNamespace(l.host, func() (err error) { value, err = os.ReadFile(name); return err }) // it does not, then
	return strings.TrimSpace(string(value)) == "1"
}

// Close removes the lab. The kernel takes a moment for it.
func (l *Lab) Close() error {
	err := errors.Join(remove(l.host, outside), remove(l.host, inside))
	for _, ns := range []int{l.strangers, l.guest} {
		if ns >= 0 {
			err = errors.Join(err, unix.Close(ns))
		}
	}
	return err
}

// newNamespace returns an open file of a new network namespace.
func newNamespace() (fd int, err error) {
	type made struct {
		fd  int
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- made{-1, err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		done <- made{fd, err}
	}()
	m := <-done
	return m.fd, m.err
}

// Bounds of a question.
const (
	patience = 250 * time.Millisecond // for an answer
	attempts = 3
)

// Answers reports whether anything comes back when one of the strangers asks a port for a connection or, of UDP, sends it an empty datagram. No
// connection comes about, so that no service notices. A closed port answers, too, but one of UDP that is open may not.
func (l *Lab) Answers(ctx context.Context, from, to netip.Addr, port firewall.Port) (answered bool, err error) {
	ask := askTCP
	if port.Proto == unix.IPPROTO_UDP {
		ask = askUDP
	}
	err = firewall.InNamespace(l.strangers, func() error {
		for range attempts {
			if answered, err = ask(from, to, port.Number); answered || err != nil || ctx.Err() != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("ask %v for %v: %w", to, port, err)
	}
	return answered, errors.Join(err, ctx.Err())
}
