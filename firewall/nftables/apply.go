package nftables

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"exile/firewall"
	"exile/firewall/internal/spare"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"
)

const (
	transaction = 50_000 // bans at most: 6 MB of messages
	chunk       = 1000   // elements in one message
	attempts    = 4      // at a transaction, if others are faster
)

// Apply makes the change in transactions of 50,000 bans. Each takes effect as a whole, or not at all.
func (b *Backend) Apply(ctx context.Context, c firewall.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.claim(ctx); err != nil {
		return err
	}
	if err := errors.Join(b.know(ctx), b.knowSpared()); err != nil {
		return err
	}
	work := b.plan(c)
	sizes := count(work)
	for {
		part := work[:min(transaction, len(work))]
		if err := b.commit(ctx, part, sizes); err != nil {
			return fmt.Errorf("change nftables table inet %s: %w", b.config.Table, err)
		}
		if work = work[len(part):]; len(work) == 0 {
			return nil
		}
	}
}

// know makes sure that we know which bans are there.
func (b *Backend) know(ctx context.Context) error {
	if b.listed != 0 {
		return nil
	}
	generation, err := b.generation()
	if err != nil {
		return err
	}
	return b.load(ctx, generation)
}

// step is what happens to one element.
type step struct {
	key firewall.Key
	end time.Time // zero: never
	add bool
}

// plan makes a step for each key of c, and for each key that a stale set has to get back. If a key occurs twice, the later
// step wins.
func (b *Backend) plan(c firewall.Change) []step {
	steps := make([]step, 0, len(c.Add)+len(c.Del))
	for _, s := range b.sets {
		if s.stale {
			for k, end := range s.ends {
				steps = append(steps, step{k, end, true})
			}
		}
	}
	for _, k := range c.Del {
		steps = append(steps, step{key: k})
	}
	now := time.Now()
	for _, ban := range c.Add {
		over := !ban.Until.IsZero() && !ban.Until.After(now)
		steps = append(steps, step{ban.Key, ban.Until, !over})
	}
	return steps
}

// count returns how many steps there are of each class.
func count(steps []step) map[class]int {
	n := make(map[class]int)
	for _, s := range steps {
		n[classOf(s.key)]++
	}
	return n
}

// classify sorts the steps of a transaction by class and keeps the last one for each key. Sizes are those of the whole
// change, of which the steps may be a part.
func classify(steps []step, sizes map[class]int) map[class][]step {
	byClass := make(map[class][]step, len(sizes))
	at := make(map[firewall.Key]int, len(steps))
	for _, s := range steps {
		c := classOf(s.key)
		if i, ok := at[s.key]; ok {
			byClass[c][i] = s
			continue
		}
		of := byClass[c]
		if of == nil {
			of = make([]step, 0, min(len(steps), sizes[c]))
		}
		at[s.key] = len(of)
		byClass[c] = append(of, s)
	}
	return byClass
}

// commit makes the steps in one transaction, and also chain, sets and rules unless they are known to be there. Sizes are
// those of the whole change: new sets are made large enough for it.
func (b *Backend) commit(ctx context.Context, steps []step, sizes map[class]int) error {
	byClass := classify(steps, sizes)
	err := b.try(ctx, byClass, sizes)
	if err != nil { // some of it may be in the kernel, and some of what we noted may not: the next List asks for all
		b.framed, b.listed = 0, 0
		return err
	}
	b.note(byClass, sizes)
	b.outdated = false
	return nil
}

func (b *Backend) try(ctx context.Context, byClass map[class][]step, sizes map[class]int) error {
	for try := range attempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		before, err := b.generation()
		if err != nil {
			return err
		}
		if try == attempts-1 {
			before = 0 // others change the ruleset all the time: make everything anew, whatever is there
		}
		b.queue(before, byClass, sizes)
		err = b.flush(before)
		if errors.Is(err, unix.ERESTART) {
			continue // somebody else made a transaction, and may have removed something
		}
		if err == nil {
			b.committed(before)
		}
		return err
	}
	return fmt.Errorf("the kernel wants it sent again, after %d attempts: %w", attempts, unix.ERESTART)
}

// queue puts the messages of the transaction together. The library keeps the first error for the flush to return.
func (b *Backend) queue(before uint32, byClass map[class][]step, sizes map[class]int) {
	if !b.stands(before, byClass) {
		b.queueFrame(byClass)
		b.framed = before
	}
	for c, steps := range byClass {
		b.queueSteps(c, steps, b.known(c, sizes[c]))
	}
}

// stands reports whether chain, sets and rules are ready for the steps.
func (b *Backend) stands(generation uint32, byClass map[class][]step) bool {
	for c := range byClass {
		if b.sets[c] == nil {
			return false
		}
	}
	for _, s := range b.sets {
		if s.stale {
			return false
		}
	}
	return b.framed == generation && generation != 0
}

// queueFrame makes the missing parts of table, chain and sets, makes the rules anew, and empties the stale sets. All in one
// transaction, so that no packet sees the chain without rules.
func (b *Backend) queueFrame(byClass map[class][]step) {
	table, chain := b.table(), b.chain()
	if b.outdated {
		b.conn.DelTable(table)
	}
	b.conn.AddTable(table)
	b.conn.AddChain(chain)
	b.conn.FlushChain(chain)
	spare.Queue(b.conn, chain, b.spared)
	classes := maps.Clone(b.sets)
	for c := range byClass {
		if classes[c] == nil {
			classes[c] = &set{}
		}
	}
	for c, s := range classes {
		kernelSet := c.set(table)
		_ = b.conn.AddSet(kernelSet, nil)
		if s.stale {
			b.conn.FlushSet(kernelSet)
		}
		b.conn.AddRule(&nft.Rule{Table: table, Chain: chain, Exprs: c.rule()})
	}
}

// queueSteps adds and deletes elements. Deleting one that is missing, because it just ended, would undo the whole
// transaction, and adding one that is there does not renew its end up to Linux 6.11. So it adds an element before it deletes
// it, and to renew one it adds it, deletes it, and adds it with the new end.
func (b *Backend) queueSteps(c class, steps []step, known *set) {
	set, now := c.set(b.table()), time.Now()
	var del, add []nft.SetElement
	var keys []byte // of a chunk's elements, one after the other; the library makes a copy
	for part := range slices.Chunk(steps, chunk) {
		del, add, keys = del[:0], add[:0], keys[:0]
		for _, s := range part {
			from := len(keys)
			keys = c.appendKey(keys, s.key)
			e := nft.SetElement{Key: keys[from:len(keys):len(keys)]}
			if known.expect(s) || !s.add {
				del = append(del, e)
			}
			if s.add {
				e.Timeout = timeout(s.end, now)
				add = append(add, e)
			}
		}
		_ = b.conn.SetAddElements(set, del)
		_ = b.conn.SetDeleteElements(set, del)
		_ = b.conn.SetAddElements(set, add)
	}
}

// timeout is the time left until the end; 0 if it never comes. The kernel counts in milliseconds.
func timeout(end, now time.Time) time.Duration {
	if end.IsZero() {
		return 0
	}
	return max(end.Sub(now), time.Millisecond)
}

// note notes what a transaction did and expect did not note.
func (b *Backend) note(byClass map[class][]step, sizes map[class]int) {
	emptied := map[class]bool{}
	for c, s := range b.sets {
		if s.stale {
			*s = set{ends: make(map[firewall.Key]time.Time, sizes[c])}
			emptied[c] = true
		}
	}
	for c, steps := range byClass {
		ends := b.sets[c].ends
		for _, step := range steps {
			switch {
			case !step.add:
				delete(ends, step.key)
			case emptied[c]:
				ends[step.key] = step.end
			}
		}
	}
}

// known returns what we know about the set of a class. For a new one that is nothing, with room for size elements.
func (b *Backend) known(c class, size int) *set {
	s := b.sets[c]
	if s == nil {
		s = &set{ends: make(map[firewall.Key]time.Time, size)}
		b.sets[c] = s
	}
	return s
}
