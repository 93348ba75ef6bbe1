// Package names resolves host names as the host does, for a daemon that has no network: it asks systemd-resolved or, where that does not
// run, exiled-names, which answers a single question and exits.
package names

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// System resolves names as the host does. The zero value uses the usual sockets.
type System struct {
	Resolved string // socket of systemd-resolved; empty: its usual one
	Helper   string // socket of exiled-names; empty: its usual one
	self     *net.Resolver
}

const (
	resolvedSocket = "/run/systemd/resolve/io.systemd.Resolve"
	helperSocket   = "/run/exile/names"
	// holds is how long an answer is valid. Neither passes on the TTL: resolved has a cache of its own, and the cache of the name server
	// answers the helper.
	holds = time.Minute
)

// Resolve returns the addresses of host, possibly none, and how long they are valid. An error means that there was no answer.
func (s System) Resolve(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	for _, at := range []struct{ path, usual, name string }{
		{s.Resolved, resolvedSocket, "systemd-resolved"}, {s.Helper, helperSocket, "exiled-names"},
	} {
		path := at.path
		if path == "" {
			path = at.usual
		}
		addrs, err := call(ctx, path, at.name, host)
		if !absent(err) {
			return addrs, holds, err
		}
	}
	self := s.self
	if self == nil {
		self = own()
	}
	addrs, err := lookup(ctx, self, host) // in a sandbox this only reads /etc/hosts
	if err != nil {
		err = fmt.Errorf("%w; start exiled-names.socket or systemd-resolved", err)
	}
	return addrs, holds, err
}

// absent reports whether nothing listens on a socket.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)
}

// own resolves in this process, which reads resolv.conf(5), hosts(5) and nsswitch.conf(5).
func own() *net.Resolver { return &net.Resolver{PreferGo: true} }

// lookup reads the files and asks the name servers of the host. Each family is looked up separately, so that an error for one does not look like
// no address.
func lookup(ctx context.Context, r *net.Resolver, host string) (all []netip.Addr, err error) {
	for _, family := range []string{"ip4", "ip6"} {
		addrs, err := r.LookupNetIP(ctx, family, whole(host))
		if err != nil && !none(err) {
			return nil, err
		}
		all = append(all, addrs...)
	}
	return all, nil
}

// whole returns a name that is looked up as it is: a name of several labels is not searched for in the domains of resolv.conf(5), whose
// owners could choose who is protected. systemd-resolved also searches only for single labels.
func whole(host string) string {
	if strings.Contains(host, ".") && !strings.HasSuffix(host, ".") {
		return host + "."
	}
	return host
}

// none reports whether the answer is that there is no such address.
func none(err error) bool {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e.IsNotFound
	}
	_, other := errors.AsType[*net.AddrError](err) // the files have the name only in the other family
	return other
}
