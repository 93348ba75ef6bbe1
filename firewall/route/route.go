// Package route bans by blackhole routes: a routing table of our own, in which each banned prefix is a blackhole, and a
// rule per address family that has the table asked before the main one.
//
// # What it stops
//
// A blackhole takes the answers away. A TCP connection cannot come about, because the SYN-ACK has no way back; so it is for
// forwarded and container traffic too, as long as this host routes the answer. What arrives is stopped only where the
// kernel checks the source of packets: IPv4 with net.ipv4.conf.*.rp_filter set to 1 or 2. Without it, and always for IPv6,
// single UDP datagrams still reach a listener, and an established connection goes on receiving; for IPv6 it is answered as
// well, since a socket keeps the route that it has found. The caller ends connections with package sockdestroy. Bans limited
// to a port cannot be had: a route knows no ports.
//
// # Ends
//
// The kernel keeps no end for a route. The caller's timer lifts a ban when its end has come; this backend remembers the end
// that each ban was added with, and List reports it for as long as the kernel has the route. For a route that was there
// before us, from an earlier run, List reports the end as 1 January 1970, which no wanted ban has. So Diff asks for such a
// ban to be added with its true end, or deleted: Apply takes the end in and leaves the kernel's route as it is. A restart
// with 100,000 bans costs two listings and changes nothing in the kernel that is right already.
package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"exile/firewall"
	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// Config says where the routes go. Zero fields take the defaults.
type Config struct {
	Table    uint8  // routing table, 1 to 252; 166. FRR cannot import a table above 252
	Protocol uint8  // marks routes and rules as ours, 5 to 255; 166
	Priority uint32 // of the rules that have the table asked; 100
	NetNS    int    // file descriptor of a network namespace; 0: the caller's own
}

// Backend bans by routes. It implements firewall.Backend, firewall.Watcher and firewall.Counter.
type Backend struct {
	config Config
	conn   *bulk.Conn
	// exchange and dump are conn's; tests put faults before them.
	exchange func(context.Context, []bulk.Request, func(int, []byte) error) (map[int]error, error)
	dump     func(context.Context, bulk.Request, func([]byte) error) error

	ends   map[netip.Prefix]time.Time // of the routes that the kernel had when we last listed or changed them
	listed bool                       // that was List, just now
	off    map[uint8]bool             // address families that the kernel does not speak
}

// unknown is the end of a route that an earlier run made.
var unknown = time.Unix(0, 0)

// New opens the backend. It changes nothing in the kernel.
func New(c Config) (*Backend, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := bulk.Dial(unix.NETLINK_ROUTE, c.NetNS)
	if err != nil {
		return nil, err
	}
	return &Backend{
		config: c, conn: conn, exchange: conn.Exchange, dump: conn.Dump,
		ends: map[netip.Prefix]time.Time{}, off: map[uint8]bool{},
	}, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.Table == 0 {
		c.Table = 166
	}
	if c.Protocol == 0 {
		c.Protocol = 166
	}
	if c.Priority == 0 {
		c.Priority = 100
	}
	if c.Table > 252 {
		return c, fmt.Errorf("routing table %d: want 1 to 252, the others are the kernel's own or out of reach of routing daemons", c.Table)
	}
	if c.Protocol <= unix.RTPROT_STATIC {
		return c, fmt.Errorf("route protocol %d: want 5 to 255, the others are the kernel's and the administrator's", c.Protocol)
	}
	return c, nil
}

// families are those that we ban in.
var families = [...]uint8{unix.AF_INET, unix.AF_INET6}

// List returns the bans that the kernel has a route for, if the rule for it is there. A route that an earlier run made has
// its end reported as 1 January 1970. Bans of a family that the kernel does not speak hold by themselves.
func (b *Backend) List(ctx context.Context) ([]firewall.Ban, error) {
	ends := make(map[netip.Prefix]time.Time, len(b.ends))
	var bans []firewall.Ban
	for p, end := range b.ends {
		if b.off[familyOf(p)] {
			ends[p], bans = end, append(bans, firewall.Ban{Key: firewall.Key{Prefix: p}, Until: end})
		}
	}
	for _, family := range families {
		if b.off[family] {
			continue
		}
		ruled, err := b.hasRule(ctx, family)
		if err != nil {
			return nil, err
		}
		err = b.dumpRoutes(ctx, family, func(p netip.Prefix) {
			end, ok := b.ends[p]
			if !ok {
				end = unknown
			}
			if _, twice := ends[p]; ruled && !twice {
				bans = append(bans, firewall.Ban{Key: firewall.Key{Prefix: p}, Until: end})
			}
			ends[p] = end
		})
		if err != nil {
			return nil, err
		}
	}
	b.ends, b.listed = ends, true
	return bans, nil
}

// Count implements firewall.Counter. It asks whether the rules are there; the kernel does not count routes, so those that
// we know of are taken to be there.
func (b *Backend) Count(ctx context.Context) (int, error) {
	held := make(map[uint8]bool, len(families))
	for _, family := range families {
		ruled, err := b.hasRule(ctx, family)
		if err != nil {
			return 0, err
		}
		held[family] = ruled || b.off[family]
	}
	n := 0
	for p := range b.ends {
		if held[familyOf(p)] {
			n++
		}
	}
	return n, nil
}

// Apply adds and deletes routes, and puts the rules back if they are gone. It refuses a change that limits a ban to a port
// with errors.ErrUnsupported, and every change on a kernel without policy routing, which would put the routes into the main
// table.
func (b *Backend) Apply(ctx context.Context, c firewall.Change) error {
	if err := check(c); err != nil {
		return err
	}
	defer func() { b.listed = false }()
	for _, family := range families {
		if err := b.addRule(ctx, family); err != nil {
			return err
		}
	}
	// First what is new: a wider ban that takes the place of a narrow one leaves no gap.
	err := b.addRoutes(ctx, c.Add)
	return errors.Join(err, b.delRoutes(ctx, c.Del))
}

func check(c firewall.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	for _, ban := range c.Add {
		if p := ban.Port; p != (firewall.Port{}) {
			return fmt.Errorf("ban %v on port %d only: %w by routes: ban all ports, or use ipset or nftables",
				ban.Prefix, p.Number, errors.ErrUnsupported)
		}
	}
	return nil
}

func (b *Backend) delRoutes(ctx context.Context, keys []firewall.Key) error {
	prefixes := make([]netip.Prefix, 0, len(keys))
	for _, k := range keys {
		if k.Port == (firewall.Port{}) { // no other can be there
			prefixes = append(prefixes, k.Prefix)
		}
	}
	return b.del(ctx, prefixes)
}

func (b *Backend) del(ctx context.Context, prefixes []netip.Prefix) error {
	itself := func(p netip.Prefix) netip.Prefix { return p }
	err := batch(ctx, b, unix.RTM_DELROUTE, prefixes, itself, func(p netip.Prefix) { delete(b.ends, p) })
	if err != nil {
		return fmt.Errorf("delete blackhole routes: %w", err)
	}
	return nil
}

// addRoutes asks the kernel for every route but those that List has just seen there, with or without the rule.
func (b *Backend) addRoutes(ctx context.Context, bans []firewall.Ban) error {
	if len(b.ends) == 0 {
		b.ends = make(map[netip.Prefix]time.Time, len(bans)) // one that grows is filled twice
	}
	if b.listed {
		bans = b.takeEnds(bans)
	}
	prefix := func(ban firewall.Ban) netip.Prefix { return ban.Prefix }
	err := batch(ctx, b, unix.RTM_NEWROUTE, spread(bans), prefix, func(ban firewall.Ban) { b.ends[ban.Prefix] = ban.Until })
	if err != nil {
		return fmt.Errorf("add blackhole routes: %w", err)
	}
	return nil
}

// takeEnds notes the ends of those bans that have a route, and returns the others.
func (b *Backend) takeEnds(bans []firewall.Ban) (others []firewall.Ban) {
	if len(b.ends) == 0 {
		return bans
	}
	for _, ban := range bans {
		if _, there := b.ends[ban.Prefix]; there {
			b.ends[ban.Prefix] = ban.Until
			continue
		}
		others = append(others, ban)
	}
	return others
}

// Destroy removes our routes and rules. Routes of others in the table stay.
func (b *Backend) Destroy(ctx context.Context) error {
	for _, family := range families {
		if err := b.delRule(ctx, family); err != nil {
			return err
		}
		var prefixes []netip.Prefix
		if err := b.dumpRoutes(ctx, family, func(p netip.Prefix) { prefixes = append(prefixes, p) }); err != nil {
			return err
		}
		if err := b.del(ctx, prefixes); err != nil {
			return err
		}
	}
	clear(b.ends)
	return nil
}

// Remove removes what a backend of this configuration left behind in an earlier run.
func Remove(ctx context.Context, c Config) error {
	b, err := New(c)
	if err != nil {
		return err
	}
	return errors.Join(b.Destroy(ctx), b.Close())
}

// Close frees the sockets and leaves the routes and rules in place.
func (b *Backend) Close() error { return b.conn.Close() }
