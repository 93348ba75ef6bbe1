package nftables

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"exile/firewall"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"
)

const (
	transaction = 50_000 // bans at most: 6 MB of messages
	chunk       = 1000   // elements in one message
	attempts    = 4      // at a transaction that others get ahead of
)

// Apply makes the change, 50,000 bans in a transaction, each of which is made wholly or not at all.
func (b *Backend) Apply(ctx context.Context, c firewall.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.claim(); err != nil {
		return err
	}
	if err := b.know(ctx); err != nil {
		return err
	}
	work := b.plan(c)
	for {
		part := work[:min(transaction, len(work))]
		if err := b.commit(ctx, part); err != nil {
			return fmt.Errorf("change nftables table inet %s: %w", b.config.Table, err)
		}
		if work = work[len(part):]; len(work) == 0 {
			return nil
		}
	}
}

// know makes sure that we have an idea which bans are there.
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

// plan makes a step for each key of c, and for each that a stale set has to get back. Of two for one key the later counts.
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

// classify sorts the steps of a transaction by class and leaves one for each key, the last.
func classify(steps []step) map[class][]step {
	byClass := make(map[class][]step)
	at := make(map[firewall.Key]int, len(steps))
	for _, s := range steps {
		c := classOf(s.key)
		if i, ok := at[s.key]; ok {
			byClass[c][i] = s
			continue
		}
		at[s.key] = len(byClass[c])
		byClass[c] = append(byClass[c], s)
	}
	return byClass
}

// commit makes the steps in one transaction, with chain, sets and rules if they are not known to stand.
func (b *Backend) commit(ctx context.Context, steps []step) error {
	byClass := classify(steps)
	for try := range attempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		before, err := b.generation()
		if err != nil {
			return err
		}
		if try == attempts-1 {
			before = 0 // others change the ruleset all the time: make everything anew, whatever stands
		}
		b.queue(before, byClass)
		err = b.flush(before)
		if errors.Is(err, unix.ERESTART) {
			continue // somebody else made a transaction: what we knew to stand may have fallen
		}
		if err != nil {
			b.doubt(byClass)
			return err
		}
		b.note(byClass)
		b.committed(before)
		return nil
	}
	return fmt.Errorf("the kernel wants it sent again, after %d attempts: %w", attempts, unix.ERESTART)
}

// queue puts the messages of the transaction together. The library keeps the first error for the flush to return.
func (b *Backend) queue(before uint32, byClass map[class][]step) {
	if !b.stands(before, byClass) {
		b.queueFrame(byClass)
		b.framed = before
	}
	for c, steps := range byClass {
		b.queueSteps(c, steps)
	}
}

// stands reports whether chain, sets and rules need nothing before the steps can be made.
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

// queueFrame makes what is missing of table, chain and sets, makes the rules anew, and empties the stale sets. Within the
// transaction, so that no packet sees the chain without rules.
func (b *Backend) queueFrame(byClass map[class][]step) {
	table, chain := b.table(), b.chain()
	b.conn.AddTable(table)
	b.conn.AddChain(chain)
	b.conn.FlushChain(chain)
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

// queueSteps adds and deletes elements. Deleting one that is not there, because it has just ended, would undo the whole
// transaction; adding one that is there does nothing, or, up to Linux 6.11, does not even renew its end. So what is to be
// deleted is added first, and what is to be renewed is added, deleted and added with its new end.
func (b *Backend) queueSteps(c class, steps []step) {
	set := c.set(b.table())
	var del []nft.SetElement
	add := make([]nft.SetElement, 0, len(steps))
	keys := make([]byte, 0, len(steps)*c.keySize()) // of all elements, one behind the other
	now := time.Now()
	for _, s := range steps {
		from := len(keys)
		keys = c.appendKey(keys, s.key)
		e := nft.SetElement{Key: keys[from:len(keys):len(keys)]}
		if !s.add || b.has(c, s.key) {
			del = append(del, e)
		}
		if s.add {
			e.Timeout = timeout(s.end, now)
			add = append(add, e)
		}
	}
	queueChunks(b.conn.SetAddElements, set, del)
	queueChunks(b.conn.SetDeleteElements, set, del)
	queueChunks(b.conn.SetAddElements, set, add)
}

func queueChunks(queue func(*nft.Set, []nft.SetElement) error, set *nft.Set, elements []nft.SetElement) {
	for part := range slices.Chunk(elements, chunk) {
		_ = queue(set, part)
	}
}

// has reports whether the element is, or may be, in the set when the transaction comes to it.
func (b *Backend) has(c class, k firewall.Key) bool {
	s := b.sets[c]
	if s == nil || s.stale {
		return false
	}
	_, ok := s.ends[k]
	return ok
}

// timeout is how long from now until the end; 0 for one that never comes. The kernel counts in milliseconds.
func timeout(end, now time.Time) time.Duration {
	if end.IsZero() {
		return 0
	}
	return max(end.Sub(now), time.Millisecond)
}

// doubt has the next List ask for all that we know of and for what was to be added: it may be there, when only the kernel's
// answer was lost.
func (b *Backend) doubt(byClass map[class][]step) {
	b.framed, b.listed = 0, 0
	for c, steps := range byClass {
		s := b.sets[c]
		if s == nil {
			s = &set{ends: make(map[firewall.Key]time.Time, len(steps))}
			b.sets[c] = s
		}
		for _, step := range steps {
			if step.add && !s.stale { // a stale one is read anew
				s.ends[step.key] = step.end
			}
		}
	}
}

// note takes in what a transaction has done.
func (b *Backend) note(byClass map[class][]step) {
	for _, s := range b.sets {
		if s.stale {
			*s = set{ends: map[firewall.Key]time.Time{}}
		}
	}
	for c, steps := range byClass {
		s := b.sets[c]
		if s == nil {
			s = &set{ends: make(map[firewall.Key]time.Time, len(steps))}
			b.sets[c] = s
		}
		for _, step := range steps {
			if step.add {
				s.ends[step.key] = step.end
			} else {
				delete(s.ends, step.key)
			}
		}
	}
}
