// Package nftables bans by sets of nftables: a table of our own, family inet, whose chain drops in prerouting, before
// connection tracking, what comes from an address in one of its sets, whether for this host or forwarded.
//
// # Sets
//
// There is a set, and a rule, for each length of prefix in use: ipv4-32 has single addresses, ipv6-64 has /64s, and so on;
// ipv4-32-port has addresses that are banned from one port only. The rule masks the source to the length and looks it up.
// All are hash sets with timeouts, so a ban is one element in one set: overlapping bans need not be merged, each ends on its
// own in the kernel, and adding one costs the same however many there are. A packet costs one look-up for each length in
// use, two or three on most hosts.
//
// # The table has no owner
//
// Linux could protect it: nobody else can change or flush a table that has an owner. But `nft -f` cannot load what `nft list
// ruleset` printed of such a table while the owner runs, and then loads nothing of the file: a host with a saved ruleset would
// have no firewall. So anybody can change the table, and changes are repaired: Watch notices, List looks, and Apply repairs.
// Between a flush of the whole ruleset and the repair, nothing is banned for some milliseconds.
//
// # How List is cheap and correct
//
// Listing a hash set takes the kernel quadratic time, nine seconds for 100,000 elements. So the backend remembers what it put
// there, and for which generation of the ruleset that is true: every transaction, by anybody, begins a new generation, and
// ours only take effect if nobody else made one meanwhile. In the generation that we know, List answers from memory. In
// another one, it checks chain and rules and asks the kernel for each element by name, in linear time. That does not show
// elements that another program put into our sets, for instance by loading a saved ruleset; so if Watch saw another program
// at our table, List reads the sets as after a restart, and has chain and rules made anew.
//
// After a restart nothing is known. List reads at most 20,000 elements of each set, in a quarter of a second. The kernel may
// skip elements of a set that needs more than one message. So List reports what it read, and the next Apply empties such a
// set and fills it again in the same transaction: no wanted ban lapses for a moment (with more than 50,000 bans, for longer
// than the next transaction), and no unwanted one stays.
package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"exile/firewall"
	"exile/firewall/internal/bulk"
	"exile/firewall/internal/spare"
	"exile/firewall/nftwatch"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Config says where the sets are. Zero fields stand for the defaults.
type Config struct {
	Table string // of family inet; "exile"
	NetNS int    // file descriptor of a network namespace; 0: the caller's own
}

// Backend bans by sets. It implements firewall.Backend, Watcher, Counter, Meter, Finder and Sparer.
type Backend struct {
	config Config
	conn   *nft.Conn // for transactions
	// flush is conn.FlushWithGenID, which sends what is queued if the generation is still that one. Tests inject faults here.
	flush    func(generation uint32) error
	ask      *bulk.Conn  // for questions
	claimed  bool        // the table is there, and ours
	outdated bool        // it has a form that is not ours, and has to be made anew
	touched  atomic.Bool // Watch saw another program at the table, and List has not looked since
	sets     map[class]*set
	framed   uint32 // generation of the ruleset in which chain, sets and rules are known to be there; 0: unknown
	listed   uint32 // generation for which sets has the elements; 0: unknown
	spared   []firewall.Spared
	asked    bool // spared is what the kernel has
}

// New opens the backend. It changes nothing in the kernel.
func New(c Config) (_ *Backend, err error) {
	if c.Table == "" {
		c.Table = "exile"
	}
	b := &Backend{config: c, sets: map[class]*set{}}
	if b.ask, err = bulk.Dial(unix.NETLINK_NETFILTER, c.NetNS); err != nil {
		return nil, err
	}
	if b.conn, err = nft.New(nft.AsLasting(), nft.WithNetNSFd(c.NetNS)); err != nil {
		return nil, errors.Join(fmt.Errorf("open nftables: %w", err), b.ask.Close())
	}
	b.flush = b.conn.FlushWithGenID
	return b, nil
}

func (b *Backend) table() *nft.Table {
	return &nft.Table{Family: nft.TableFamilyINet, Name: b.config.Table}
}

func (b *Backend) chain() *nft.Chain {
	return &nft.Chain{
		Table: b.table(), Name: "prerouting", Type: nft.ChainTypeFilter,
		Hooknum: nft.ChainHookPrerouting, Priority: new(nft.ChainPriority(-310)), // raw is -300, connection tracking -200
	}
}

// claim makes the table, or takes over that of an earlier run.
func (b *Backend) claim(ctx context.Context) error {
	if b.claimed {
		return nil
	}
	foreign, _, err := b.owner()
	if err != nil {
		return err
	}
	if foreign {
		return fmt.Errorf("nftables table inet %[1]s is another program's: remove it (nft delete table inet %[1]s): %[2]w",
			b.config.Table, unix.EEXIST)
	}
	if b.outdated, err = b.hasOtherForm(); err != nil {
		return err
	}
	if b.outdated {
		return b.keepAll(ctx)
	}
	switch err := firewall.Await(unix.EPERM, b.makeTable); {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("make nftables table inet %s: another program owns it, or CAP_NET_ADMIN is missing: %w", b.config.Table, err)
	case err != nil:
		return fmt.Errorf("make nftables table inet %s: %w", b.config.Table, err)
	}
	b.claimed = true
	return nil
}

// hasOtherForm reports whether the table, or a set in it, has flags that ours does not have: the kernel refuses to add it
// again.
func (b *Backend) hasOtherForm() (bool, error) {
	table, err := b.conn.ListTableOfFamily(b.config.Table, nft.TableFamilyINet)
	if err != nil {
		return false, unlessMissing("table", err)
	}
	sets, err := b.conn.GetSets(table)
	if err != nil {
		return false, unlessMissing("sets", err)
	}
	concatenated := func(s *nft.Set) bool { return s.Concatenation }
	return table.Flags&^nft.TableFlagDormant != 0 || slices.ContainsFunc(sets, concatenated), nil
}

// keepAll lets the transaction that makes the table anew fill it with what the old one has.
func (b *Backend) keepAll(ctx context.Context) error {
	if err := errors.Join(b.know(ctx), b.knowSpared()); err != nil {
		return err
	}
	for _, s := range b.sets {
		s.stale = true
	}
	b.claimed, b.framed = true, 0
	return nil
}

func (b *Backend) makeTable() error {
	before, err := b.generation()
	if err != nil {
		return err
	}
	b.conn.AddTable(b.table())
	err = b.flush(before)
	if errors.Is(err, unix.ERESTART) { // somebody else was faster, which does not matter here
		b.conn.AddTable(b.table())
		return b.conn.Flush()
	}
	if err == nil {
		b.committed(before)
	}
	return err
}

// noModule explains an error that says little.
const noModule = "(a kernel without module nf_tables has none)"

// generation counts the transactions of everybody in this namespace. It is never 0.
func (b *Backend) generation() (uint32, error) {
	g, err := b.conn.GetGen()
	if err != nil {
		return 0, fmt.Errorf("ask for generation of nftables %s: %w", noModule, err)
	}
	return g.ID, nil
}

// committed notes that our transaction followed generation before; 0: an unknown one.
func (b *Backend) committed(before uint32) {
	if before == 0 {
		b.framed = 0
		return
	}
	after := before + 1
	if after == 0 {
		after = 1
	}
	if b.framed == before {
		b.framed = after
	}
	if b.listed == before {
		b.listed = after
	}
}

// Destroy removes the table.
func (b *Backend) Destroy(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.claim(ctx); err != nil {
		return err
	}
	if !b.outdated {
		b.conn.AddTable(b.table()) // so that a missing table is not an error
	}
	b.conn.DelTable(b.table())
	if err := b.conn.Flush(); err != nil {
		return fmt.Errorf("delete nftables table inet %s: %w", b.config.Table, err)
	}
	b.claimed, b.outdated, b.framed, b.listed = false, false, 0, 0
	b.spared, b.asked = nil, true
	clear(b.sets)
	return nil
}

// Empty removes the table: the kernel frees what is in it later.
func (b *Backend) Empty(ctx context.Context) error { return b.Destroy(ctx) }

// Remove removes what a backend of this configuration left behind in an earlier run. A table of that name without our chain
// belongs to another program and stays.
func Remove(ctx context.Context, c Config) (err error) {
	b, err := New(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if foreign, ours, err := b.owner(); err != nil || foreign || !ours {
		return err
	}
	return b.Destroy(ctx)
}

// owner looks at the table of our name. It is foreign if it has chains or rules that are not ours, and ours if it has ours; if
// it is empty or missing it is neither.
func (b *Backend) owner() (foreign, ours bool, err error) {
	chains, err := b.conn.ListChainsOfTableFamily(nft.TableFamilyINet)
	if err != nil {
		return false, false, fmt.Errorf("list chains of nftables %s: %w", noModule, err)
	}
	for _, c := range chains {
		if c.Table.Name != b.config.Table {
			continue
		}
		if !b.isOurs(c) {
			return true, false, nil
		}
		rules, err := b.conn.GetRules(b.table(), c)
		if err != nil {
			return false, false, unlessMissing("rules", err)
		}
		ours = true
		foreign = len(rules) > 0 && !slices.ContainsFunc(rules, func(r *nft.Rule) bool {
			_, ok := ruleClass(r)
			return ok || spare.Is(nft.TableFamilyINet, r)
		})
	}
	return foreign, ours, nil
}

func (b *Backend) isOurs(c *nft.Chain) bool {
	ours := b.chain()
	return c.Name == ours.Name && c.Priority != nil && *c.Priority == *ours.Priority
}

// Close frees the sockets and leaves the table in place.
func (b *Backend) Close() error {
	return errors.Join(b.conn.CloseLasting(), b.ask.Close())
}

// Watch implements firewall.Watcher. Our own changes do not wake the caller.
func (b *Backend) Watch(ctx context.Context, touched func()) error {
	own, err := b.conn.GetPortID()
	if err != nil {
		return fmt.Errorf("find own port id: %w", err)
	}
	listening := false
	return nftwatch.Watch(ctx, b.config.NetNS, b.config.Table, own, func() {
		b.touched.Store(listening) // the first call says that it listens
		listening = true
		touched()
	})
}
