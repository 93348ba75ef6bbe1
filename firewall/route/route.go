// Package route bans by blackhole routes: a routing table of our own, in which each banned prefix is a blackhole, and a rule
// per address family with which the kernel looks into it before the main table.
//
// # What it stops
//
// A blackhole stops the answers. No TCP connection is established, because the SYN-ACK has no way back; that includes
// forwarded and container traffic, if this host routes the answer. Incoming packets are stopped only if the kernel checks
// their source: IPv4 with net.ipv4.conf.*.rp_filter set to 1 or 2. Without that, and always for IPv6, single UDP datagrams
// still reach a listener, and an established connection goes on receiving; for IPv6 it is also answered, since a socket keeps
// the route that it found. The caller ends connections with package sockdestroy. A ban cannot be limited to a port: routes
// have no ports.
//
// # The table
//
// The kernel looks into our table before the main one, for every packet: another program's default route in it would take all
// traffic. So the table is one without routes of others, and we leave it if it gets some.
//
// # Ends
//
// A route has no end in the kernel. The caller's timer lifts a ban when it ends; this backend remembers the end with which
// each ban was added, and List reports it while the kernel has the route. For a route of an earlier run List reports 1
// January 1970, which is not the end of any wanted ban. So Diff asks to add such a ban with its true end, or to delete it:
// Apply notes the end and leaves the kernel's route alone. A restart with 100,000 bans costs two listings and changes nothing
// in the kernel that is right already.
package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"exile/firewall"
	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// Config says where the routes are. Zero fields stand for the defaults.
type Config struct {
	Table    uint8  // routing table, 1 to 252: FRR cannot import one above. 0: 166, or another where that holds routes of others
	Protocol uint8  // marks routes and rules as ours, 5 to 255; 166
	Priority uint32 // of the rules that have the table asked; 100
	NetNS    int    // file descriptor of a network namespace; 0: the caller's own
}

// Backend bans by routes. It implements firewall.Backend, firewall.Watcher and firewall.Counter.
type Backend struct {
	config Config
	conn   *bulk.Conn
	// exchange and dump are conn's. Tests inject faults here.
	exchange func(context.Context, []bulk.Request, func(int, []byte) error) (map[int]error, error)
	dump     func(context.Context, bulk.Request, func([]byte) error) error

	tables []uint8                // candidates, the best first
	ours   atomic.Pointer[Config] // what Watch looks for; nil: no table was chosen yet

	ends   map[netip.Prefix]time.Time // of the routes in the kernel when we last listed or changed them
	listed bool                       // List did so last
	off    map[uint8]bool             // address families that the kernel runs without
}

// unknown is the end of a route that an earlier run made.
var unknown = time.Unix(0, 0)

// New opens the backend. It changes nothing in the kernel.
func New(c Config) (*Backend, error) {
	tables := []uint8{c.Table}
	if c.Table == 0 {
		tables = usual[:]
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := bulk.Dial(unix.NETLINK_ROUTE, c.NetNS)
	if err != nil {
		return nil, err
	}
	return &Backend{
		config: c, tables: tables, conn: conn, exchange: conn.Exchange, dump: conn.Dump,
		ends: map[netip.Prefix]time.Time{}, off: map[uint8]bool{},
	}, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.Table == 0 {
		c.Table = usual[0]
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

// families are the address families of bans.
var families = [...]uint8{unix.AF_INET, unix.AF_INET6}

// List returns the bans for which the kernel has a route, if the rule is there. The end of a route of an earlier run is
// reported as 1 January 1970. Bans of a family that the kernel runs without always hold.
func (b *Backend) List(ctx context.Context) ([]firewall.Ban, error) {
	if b.ours.Load() == nil {
		if err := b.settle(ctx); err != nil {
			return nil, err
		}
	}
	bans, err := b.list(ctx)
	if !errors.Is(err, errTaken) {
		return bans, err
	}
	b.ours.Store(nil)
	if err := b.settle(ctx); err != nil {
		return nil, err
	}
	return b.list(ctx)
}

// list is List for the table that is ours; errTaken: it has routes of others.
func (b *Backend) list(ctx context.Context) ([]firewall.Ban, error) {
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
		taken := false
		each := func(p netip.Prefix) {
			end, ok := b.ends[p]
			if !ok {
				end = unknown
			}
			if _, twice := ends[p]; ruled && !twice {
				bans = append(bans, firewall.Ban{Key: firewall.Key{Prefix: p}, Until: end})
			}
			ends[p] = end
		}
		if err := b.dumpRoutes(ctx, family, each, func() { taken = true }); err != nil {
			return nil, err
		}
		if taken {
			return nil, errTaken
		}
	}
	b.ends, b.listed = ends, true
	return bans, nil
}

// Count implements firewall.Counter. It asks whether the rules are there. The kernel does not count routes, so it assumes
// that those we know are there.
func (b *Backend) Count(ctx context.Context) (int, error) {
	if err := b.settle(ctx); err != nil {
		return 0, err
	}
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
	if b.ours.Load() == nil {
		if err := b.settle(ctx); err != nil {
			return err
		}
	}
	defer func() { b.listed = false }()
	for _, family := range families {
		if err := b.addRule(ctx, family); err != nil {
			return err
		}
	}
	// New bans first: a wider ban that replaces a narrow one leaves no gap.
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
		if k.Port == (firewall.Port{}) { // there are no others
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
		b.ends = make(map[netip.Prefix]time.Time, len(bans)) // growing would copy it
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

// takeEnds notes the ends of the bans that have a route, and returns the others.
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

// Destroy removes our routes and rules from every table that may be ours. It leaves routes of others alone.
func (b *Backend) Destroy(ctx context.Context) error {
	var failed error
	for _, t := range b.tables {
		failed = errors.Join(failed, b.within(t, func() error { return b.empty(ctx) }))
	}
	clear(b.ends)
	b.ours.Store(nil)
	return failed
}

// empty removes what is ours from the table.
func (b *Backend) empty(ctx context.Context) error {
	for _, family := range families {
		if err := b.delRule(ctx, family); err != nil {
			return err
		}
		var prefixes []netip.Prefix
		if err := b.dumpRoutes(ctx, family, func(p netip.Prefix) { prefixes = append(prefixes, p) }, func() {}); err != nil {
			return err
		}
		if err := b.del(ctx, prefixes); err != nil {
			return err
		}
	}
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
