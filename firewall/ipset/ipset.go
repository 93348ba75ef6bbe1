// Package ipset bans with the kernel's ip sets: two hash:net sets for whole prefixes, two hash:net,port sets for bans of
// one port, and rules in an nftables table of our own that drop what they contain before anything else sees it.
//
// The kernel lets bans expire, to the second. Its longest timeout is 24.8 days: a longer ban gets that one and is extended
// in time, if the caller compares (List, Diff, Apply) at least every 12 days.
package ipset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/nftwatch"
)

// Config says where the sets are and how large. The zero value stands for the caller's network namespace, the name "exile"
// and the default size.
type Config struct {
	NetNS   int    // open file of a network namespace; 0: the caller's own. Used by New and by Watch
	Name    string // of the tables, and the first part of the names of the sets; at most 20 bytes
	MaxElem uint32 // how many bans a set holds before a larger one replaces it; 0: 131072
}

const (
	defaultName    = "exile"
	defaultMaxElem = 1 << 17
	mostElem       = 1 << 24 // a set grows up to here: 1 GB of kernel memory
	longestName    = maxNameLen - 1 - len("4-port-grow")
)

// Backend is the firewall.Backend of this package.
type Backend struct {
	cfg    Config
	kernel *kernel
	rules  rules
	port   uint32 // of the socket that changes the rules
	sets   [4]*set
	most   uint32                     // what a set grows up to
	long   map[firewall.Key]time.Time // ends beyond what the kernel keeps

	gen      uint32 // generation of the whole nftables ruleset in which our rules were last seen whole
	whole    bool   // gen counts
	disowned bool   // List said that nothing is enforced: what is still in the sets is void
}

var (
	_ firewall.Backend = (*Backend)(nil)
	_ firewall.Watcher = (*Backend)(nil)
	_ firewall.Counter = (*Backend)(nil)
	_ firewall.Meter   = (*Backend)(nil)
	_ firewall.Finder  = (*Backend)(nil)
	_ firewall.Sparer  = (*Backend)(nil)
)

// New makes the sets and rules, or adopts existing ones. The errors say what is missing; errors.Is finds the kernel's
// errno.
func New(cfg Config) (*Backend, error) {
	b, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	if err = explain(b.rules.refuseForeign()); err == nil {
		b.rules.spared, err = b.rules.read()
	}
	if err == nil {
		err = b.build()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ipset backend: %w", err), b.Close())
	}
	return b, nil
}

// connect opens the sockets and changes nothing in the kernel.
func connect(cfg Config) (*Backend, error) {
	cfg.Name = cmp.Or(cfg.Name, defaultName)
	cfg.MaxElem = cmp.Or(cfg.MaxElem, defaultMaxElem)
	if len(cfg.Name) > longestName {
		return nil, fmt.Errorf("open ipset backend: name %q is longer than %d bytes", cfg.Name, longestName)
	}
	ip4, ip6 := nftables.TableFamilyIPv4, nftables.TableFamilyIPv6
	b := &Backend{cfg: cfg, most: mostElem, long: make(map[firewall.Key]time.Time), sets: [4]*set{
		{cfg.Name + "4", hashNet, ip4, unix.AF_INET, cfg.MaxElem},
		{cfg.Name + "6", hashNet, ip6, unix.AF_INET6, cfg.MaxElem},
		{cfg.Name + "4-port", hashNetPort, ip4, unix.AF_INET, cfg.MaxElem},
		{cfg.Name + "6-port", hashNetPort, ip6, unix.AF_INET6, cfg.MaxElem},
	}}
	if err := b.dial(); err != nil {
		return nil, errors.Join(fmt.Errorf("open ipset backend: %w", err), b.Close())
	}
	return b, nil
}

func (b *Backend) dial() (err error) {
	if b.kernel, err = dial(b.cfg.NetNS); err != nil {
		return err
	}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(b.cfg.NetNS))
	if err != nil {
		return fmt.Errorf("open nftables socket: %w", err)
	}
	b.rules = rules{conn: conn, name: b.cfg.Name, flags: protected, extension: "set"}
	if b.port, err = conn.GetPortID(); err != nil {
		return fmt.Errorf("find own port id: %w", err)
	}
	return nil
}

// Remove removes what a backend of this configuration left behind in an earlier run. Tables or sets of those names that such
// a backend would not adopt belong to another program and stay.
func Remove(ctx context.Context, cfg Config) (err error) {
	b, err := connect(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.rules.refuseForeign(); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return explain(err)
	}
	there := false
	for _, s := range b.sets {
		h, err := b.kernel.header(s.name)
		switch {
		case errors.Is(err, unix.ENOENT):
		case err != nil:
			return fmt.Errorf("find ipset %s: %w", s.name, explain(err))
		case !s.like(h):
			return nil
		default:
			there = true
		}
	}
	if !there {
		return nil
	}
	return b.Destroy(ctx)
}

// Close frees the sockets and leaves the bans in place. A second call does nothing.
func (b *Backend) Close() error {
	var err error
	if b.kernel != nil {
		err = b.kernel.close()
	}
	if b.rules.conn != nil {
		err = errors.Join(err, b.rules.conn.CloseLasting())
	}
	b.kernel, b.rules.conn = nil, nil
	return err
}

// Watch calls touched when another program may have changed our tables. The kernel does not report changes of sets.
func (b *Backend) Watch(ctx context.Context, touched func()) error {
	return nftwatch.Watch(ctx, b.cfg.NetNS, b.cfg.Name, b.port, touched)
}

// List returns the bans in the sets, and none at all if a rule or set is missing: then nothing is enforced.
func (b *Backend) List(ctx context.Context) ([]firewall.Ban, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	whole, err := b.intact()
	if err != nil {
		return nil, fmt.Errorf("list bans: %w", explain(err))
	}
	if b.disowned = !whole; !whole {
		return nil, nil
	}
	var bans []firewall.Ban
	for _, s := range b.sets {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := b.kernel.elements(s.name, func(ban firewall.Ban) { bans = append(bans, b.promised(ban)) })
		if err != nil {
			return nil, fmt.Errorf("list bans in ipset %s: %w", s.name, explain(err))
		}
	}
	return bans, nil
}

// Count implements firewall.Counter: the kernel counts the elements of a set.
func (b *Backend) Count(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	whole, err := b.intact()
	if err != nil || !whole {
		return 0, explain(err)
	}
	n := 0
	for _, s := range b.sets {
		h, err := b.kernel.header(s.name)
		if err != nil {
			return 0, fmt.Errorf("count bans in ipset %s: %w", s.name, explain(err))
		}
		n += int(h.elements)
	}
	return n, nil
}

// Apply makes the change in messages of some hundred elements. It adds before it deletes, so that a wider ban that replaces
// a narrow one leaves no gap. If a set is full, it adds as much as there is room for.
func (b *Backend) Apply(ctx context.Context, c firewall.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if c.Empty() {
		return ctx.Err()
	}
	if err := b.ensure(ctx); err != nil {
		return fmt.Errorf("prepare ipset: %w", explain(err))
	}
	now := time.Now()
	var add [4][]firewall.Ban
	var del [4][]firewall.Key
	for _, ban := range c.Add {
		i := setOf(ban.Key)
		if !ban.Until.IsZero() && !ban.Until.After(now) {
			del[i] = append(del[i], ban.Key) // over before it began
			continue
		}
		add[i] = append(add[i], ban)
	}
	for _, k := range c.Del {
		i := setOf(k)
		del[i] = append(del[i], k)
	}
	var full error
	for i, s := range b.sets {
		err := b.add(ctx, s, add[i], now)
		if err != nil {
			err = fmt.Errorf("ban in ipset %s: %w", s.name, explain(err))
		}
		if err != nil && !errors.Is(err, errHashFull) {
			return err
		}
		full = errors.Join(full, err)
	}
	for i, s := range b.sets { // also in a full set: that makes room
		if err := b.drop(ctx, s, add[i], del[i]); err != nil {
			return fmt.Errorf("lift ban in ipset %s: %w", s.name, explain(err))
		}
	}
	b.disowned = false
	return full
}

// drop takes keys out of a set, and if its bans are void all others but those that were just put in. Only now, because void
// bans are mostly wanted ones: with the rules back in place they hold while the caller's come in.
func (b *Backend) drop(ctx context.Context, s *set, added []firewall.Ban, keys []firewall.Key) error {
	if b.disowned {
		keep := make(map[firewall.Key]struct{}, len(added))
		for _, ban := range added {
			keep[ban.Key] = struct{}{}
		}
		err := b.kernel.elements(s.name, func(ban firewall.Ban) {
			if _, ok := keep[ban.Key]; !ok {
				keys = append(keys, ban.Key)
			}
		})
		if err != nil {
			return err
		}
	}
	return b.del(ctx, s, keys)
}

// ensure makes sets and rules if they are missing. It costs one question to the kernel if nobody changed any rule since the
// last.
func (b *Backend) ensure(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	whole, err := b.intact()
	if err != nil || whole {
		return err
	}
	return b.build()
}

// intact reports whether all rules are there. Then the sets are too, since the rules refer to them.
func (b *Backend) intact() (bool, error) {
	gen, err := b.rules.conn.GetGen()
	if err != nil {
		return false, fmt.Errorf("ask nftables generation: %w", err)
	}
	if b.whole && gen.ID == b.gen {
		return true, nil
	}
	b.whole = false
	want, err := b.matches()
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for family, matches := range want {
		if ok, err := b.rules.intact(family, matches); err != nil || !ok {
			return false, err
		}
	}
	b.gen, b.whole = gen.ID, true // asked before we looked: a change in between is noticed
	return true, nil
}

func (b *Backend) matches() (map[nftables.TableFamily][]match, error) {
	want := make(map[nftables.TableFamily][]match)
	for _, s := range b.sets {
		index, err := b.kernel.index(s.name)
		if err != nil {
			return nil, fmt.Errorf("find ipset %s: %w", s.name, err)
		}
		want[s.table] = append(want[s.table], match{index, s.kind == hashNetPort})
	}
	return want, nil
}

// build makes the missing sets, and all rules anew. If it fails, it removes the sets that it made.
func (b *Backend) build() error {
	made, err := b.makeSets()
	if err == nil {
		err = b.makeRules()
	}
	if err == nil {
		return nil
	}
	for _, s := range made {
		err = errors.Join(err, b.kernel.destroy(context.Background(), s.name))
	}
	return err
}

// makeSets returns the sets that were not there.
func (b *Backend) makeSets() (made []*set, err error) {
	for _, s := range b.sets {
		fresh, err := b.adopt(s)
		if errors.Is(err, unix.EINVAL) { // nobody reads the message
			err = fmt.Errorf("%w: %w", errNoSets, err)
		}
		if err != nil {
			return made, fmt.Errorf("make ipset %s: %w", s.name, explain(err))
		}
		if fresh {
			made = append(made, s)
		}
	}
	return made, nil
}

func (b *Backend) makeRules() error {
	want, err := b.matches()
	if err != nil {
		return err
	}
	if err := b.rules.build(want); err != nil {
		return fmt.Errorf("make nftables tables %s: %w", b.rules.name, explain(err))
	}
	return nil
}
