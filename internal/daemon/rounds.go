package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Work on very many bans is done in steps. Between two steps the loop handles everything else, so that an attack does not have to wait
// for the end of a flush.

const (
	// roundStep is how many bans are dealt with in one turn of the loop. A new ban waits for a turn or two, and a turn takes some
	// milliseconds while it has to help the collector.
	roundStep = 64
	// maxLifted is how many lifted bans may wait for the disk before the rounds have to wait.
	maxLifted = 4096
)

// round is work on every ban that existed when the round began.
type round struct {
	bans snapshot
	from *entry       // where the next step begins; nil: all bans have been visited
	do   func(*entry) // called for each that still exists; may lift it
	gone bool         // the bans are not in the table any more
	held bool         // but still in the kernel
	last func()       // called after the last one
}

// rounds are the rounds under way; they run one after the other.
type rounds struct {
	list   []*round
	always chan struct{} // closed: always ready
}

func newRounds() rounds {
	always := make(chan struct{})
	close(always)
	return rounds{always: always}
}

// begin has do called for all the bans, and then last, in later turns of the loop. Bans that are made or extended from now on are left
// out.
func (r *rounds) begin(bans snapshot, do func(*entry), last func()) {
	r.add(&round{bans: bans, do: do, last: last})
}

func (r *rounds) add(one *round) {
	one.from = keyOf("", netip.Prefix{})
	r.list = append(r.list, one)
}

// due returns a channel that is ready while there is a round to continue.
func (r *rounds) due() <-chan struct{} {
	if r.idle() {
		return nil
	}
	return r.always
}

func (r *rounds) idle() bool { return len(r.list) == 0 }

// over returns the first round if it has visited all its bans, else nil.
func (r *rounds) over() *round {
	if r.idle() || r.list[0].from != nil {
		return nil
	}
	return r.list[0]
}

// end removes the first round and calls its last function.
func (r *rounds) end() {
	first := r.list[0]
	r.list = r.list[1:]
	first.last()
}

// flushing reports whether the kernel still has bans that were flushed.
func (r *rounds) flushing() bool {
	return slices.ContainsFunc(r.list, func(one *round) bool { return one.held })
}

// step takes the next step of the first round.
func (r *rounds) step(t *table) {
	first := r.list[0]
	if first.from == nil {
		return // only its end is left
	}
	if !first.gone {
		first.bans = first.bans.without(t)
	}
	for _, e := range first.next(roundStep) {
		if first.gone || e.there() {
			first.do(e)
		}
	}
}

// next returns the next n bans, and notes where those behind them begin.
func (r *round) next(n int) []*entry {
	step := make([]*entry, 0, n)
	from := r.from
	r.from = nil
	r.bans.from(from, func(e *entry) bool {
		if len(step) == n {
			r.from = e
			return false
		}
		step = append(step, e)
		return true
	})
	return step
}

// goRound has do called for all bans in turns of the loop to come.
func (d *Daemon) goRound(do func(*entry), last func()) {
	d.rounds.begin(d.ledger.bans.snapshot(""), do, last)
}

// goAllRound calls do for all bans at once: at the start, when there is nothing else to do.
func (d *Daemon) goAllRound(do func(*entry)) {
	r := round{bans: d.ledger.bans.snapshot(""), from: keyOf("", netip.Prefix{})}
	for _, e := range r.next(d.ledger.bans.len()) {
		do(e)
	}
}

// roundDue returns a channel that is ready while there is a round to continue and the disk is not too far behind.
func (d *Daemon) roundDue() <-chan struct{} {
	if d.ledger.behind() {
		return nil
	}
	return d.rounds.due()
}

// goOn takes the next step of the first round, unless the daemon is stopping and the kernel would not follow.
func (d *Daemon) goOn(ctx context.Context) {
	if ctx.Err() == nil {
		d.rounds.step(d.ledger.bans)
	}
}

// endRound ends the first round once it has visited all its bans and the kernel has followed.
func (d *Daemon) endRound(ctx context.Context) {
	over := d.rounds.over()
	if over == nil || ctx.Err() != nil {
		return
	}
	if over.held {
		over.held = false
		if !d.rounds.flushing() && !d.complete(ctx) { // it refused something, or a reload changed the ports
			d.kernel.compareSoon() // the next turn compares, and ends the round
			return
		}
	}
	d.rounds.end()
}

// makeRoom lifts at most n of the bans that exceed max_bans.
func (d *Daemon) makeRoom(n int) {
	for range n {
		b, ok := d.ledger.bans.surplus()
		if !ok {
			return
		}
		d.lift(b, "full")
		d.stats.evicted++
		d.health.degrade(reasonFull, time.Now().Add(transient), nil)
	}
}

// liftServed lifts bans whose time is over, as many as a turn of the loop has time for, and reports whether none is left.
func (d *Daemon) liftServed() bool {
	now := time.Now()
	for _, b := range d.ledger.bans.expire(now, roundStep) {
		d.lift(b, "expired")
	}
	return !d.ledger.bans.overdue(now)
}
