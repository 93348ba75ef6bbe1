package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"exile/firewall"
	"exile/firewall/internal/bulk"
	"exile/firewall/internal/spare"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// dumpMax is how many elements of an unknown set are read at most: reading n takes the kernel n² steps.
const dumpMax = 20_000

// List returns the bans that the kernel enforces. See the package's documentation for what it costs.
func (b *Backend) List(ctx context.Context) ([]firewall.Ban, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	generation, err := b.generation()
	if err != nil {
		return nil, err
	}
	if b.listed != generation {
		if err := b.look(ctx, generation); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	var bans []firewall.Ban
	for _, s := range b.sets {
		s.forget(now)
		bans = slices.Grow(bans, len(s.ends))
		for k, end := range s.ends {
			if end.IsZero() || end.After(now) {
				bans = append(bans, firewall.Ban{Key: k, Until: end})
			}
		}
	}
	return bans, nil
}

// look finds out what the kernel has. If another program touched our table, nothing we knew counts: what it added to the
// chain is removed, and so are rules that it loaded twice.
func (b *Backend) look(ctx context.Context, generation uint32) error {
	if !b.touched.Swap(false) || !b.claimed {
		return b.load(ctx, generation)
	}
	clear(b.sets)
	b.framed = 0
	if err := b.load(ctx, generation); err != nil {
		b.touched.Store(true)
		return err
	}
	return b.Apply(ctx, firewall.Change{})
}

// Count implements firewall.Counter. In the generation that we know, we know everything; in another, it looks at the rules and
// assumes that the elements are there.
func (b *Backend) Count(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	generation, err := b.generation()
	if err != nil {
		return 0, err
	}
	if b.listed == 0 {
		bans, err := b.List(ctx)
		return len(bans), err
	}
	var enforced map[class]bool
	if b.listed != generation {
		if enforced, err = b.enforced(); err != nil {
			return 0, err
		}
	}
	n, now := 0, time.Now()
	for c, s := range b.sets {
		if b.listed == generation || enforced[c] {
			n += s.count(now)
		}
	}
	return n, nil
}

// load finds out what the kernel has in this generation. If a new one begins meanwhile, the next List does so again.
func (b *Backend) load(ctx context.Context, generation uint32) error {
	sets, err := b.readSets(ctx)
	if err != nil {
		return fmt.Errorf("list nftables table inet %s: %w", b.config.Table, err)
	}
	b.sets, b.listed = sets, generation
	return nil
}

func (b *Backend) readSets(ctx context.Context) (map[class]*set, error) {
	enforced, err := b.enforced()
	if err != nil {
		return nil, err
	}
	kernelSets, err := b.conn.GetSets(b.table())
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("list sets: %w", err)
	}
	sets := make(map[class]*set, len(kernelSets))
	for _, ks := range kernelSets {
		if c, ok := parseClass(ks.Name); ok {
			if sets[c], err = b.readSet(ctx, c, enforced[c]); err != nil {
				return nil, fmt.Errorf("read set %s: %w", c.name(), err)
			}
		}
	}
	return sets, nil
}

// readSet finds out what the kernel has in one set, by asking for the elements we know or by reading the set.
func (b *Backend) readSet(ctx context.Context, c class, enforced bool) (*set, error) {
	known := b.sets[c]
	switch {
	case !enforced: // so the elements are no bans
		return &set{stale: true}, nil
	case known != nil && !known.stale:
		return b.askFor(ctx, c, known)
	default:
		return b.dump(ctx, c)
	}
}

// enforced returns the classes that have their rule.
func (b *Backend) enforced() (map[class]bool, error) {
	table, err := b.conn.ListTableOfFamily(b.config.Table, nft.TableFamilyINet)
	if err != nil || table.Flags&nft.TableFlagDormant != 0 {
		return nil, unlessMissing("table", err)
	}
	want := b.chain()
	chain, err := b.conn.ListChain(table, want.Name)
	if err != nil || chain.Hooknum == nil || *chain.Hooknum != *want.Hooknum || *chain.Priority != *want.Priority {
		return nil, unlessMissing("chain", err)
	}
	rules, err := b.conn.GetRules(table, chain)
	if err != nil {
		return nil, unlessMissing("rules", err)
	}
	found := map[class]bool{}
	for _, r := range rules {
		if spare.Is(nft.TableFamilyINet, r) {
			continue
		}
		c, ok := ruleClass(r)
		if !ok {
			break // a rule of another program may accept what the next ones would drop
		}
		found[c] = true
	}
	return found, nil
}

// ruleClass returns the class of a rule.
func ruleClass(r *nft.Rule) (class, bool) {
	if len(r.Exprs) < 3 {
		return class{}, false
	}
	c, ok := lookedUp(r.Exprs[len(r.Exprs)-3])
	return c, ok && c.isRule(r.Exprs)
}

func unlessMissing(what string, err error) error {
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// askFor asks the kernel for each element that we know.
func (b *Backend) askFor(ctx context.Context, c class, known *set) (*set, error) {
	now := time.Now()
	known.forget(now)
	answer := &set{ends: make(map[firewall.Key]time.Time, len(known.ends))}
	question := b.question(c)
	keys := make([]firewall.Key, 0, bulk.Max)
	flush := func() error {
		err := b.askOnce(ctx, question, keys, c, answer)
		keys = keys[:0]
		return err
	}
	for k := range known.ends {
		if keys = append(keys, k); len(keys) == bulk.Max {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return answer, flush()
}

func (b *Backend) askOnce(ctx context.Context, question []byte, keys []firewall.Key, c class, answer *set) error {
	if len(keys) == 0 {
		return nil
	}
	requests := make([]bulk.Request, len(keys))
	for i, k := range keys {
		body := append(make([]byte, 0, len(question)+c.keySize()), question...)
		requests[i] = bulk.Request{Type: getElement, Body: c.appendKey(body, k)}
	}
	now := time.Now()
	refused, err := b.ask.Exchange(ctx, requests, func(_ int, m []byte) error {
		return elements(m, c, now, answer.put)
	})
	for _, err := range refused {
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return err
}

func (s *set) put(k firewall.Key, end time.Time) error {
	s.ends[k] = end
	return nil
}

var errTooMany = errors.New("too many elements to read")

// dump reads a set, on a socket of its own because a dump cannot be cancelled. The kernel walks through the set once for each
// message, and may skip elements while the set grows: only a single message is complete.
func (b *Backend) dump(ctx context.Context, c class) (*set, error) {
	conn, err := bulk.Dial(unix.NETLINK_NETFILTER, b.config.NetNS)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s := &set{ends: map[firewall.Key]time.Time{}}
	now := time.Now()
	err = conn.Dump(ctx, bulk.Request{Type: getElement, Body: b.whole(c)}, func(m []byte) error {
		s.stale = len(s.ends) > 0
		if len(s.ends) >= dumpMax {
			return errTooMany
		}
		return elements(m, c, now, s.put)
	})
	if errors.Is(err, errTooMany) {
		err = nil
	}
	return s, err
}
