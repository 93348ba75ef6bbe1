package daemon

import (
	"context"
	"net/netip"
	"time"
)

// What is to be done with very many bans is done in steps, between which the loop does what else there is to do: an attack
// does not wait for the end of a flush.

const (
	// roundStep is how many bans are dealt with in one turn of the loop.
	roundStep = 256
	// maxLifted is how many lifted bans may wait for the disk before the rounds do.
	maxLifted = 20_000
)

// round is something to be done with every ban that there was when it began.
type round struct {
	bans snapshot
	jail string       // whose; empty: everybody's
	from *entry       // where the next step begins; nil: it has been everywhere
	do   func(*entry) // called for each that is still there; may lift it
	last func()       // called after the last one
}

// goRound has do called for all bans of a jail, or of all jails (""), and then last, in turns of the loop to come. A ban that is
// made or extended from now on is left out.
func (d *Daemon) goRound(name string, do func(*entry), last func()) {
	d.rounds = append(d.rounds, &round{d.bans.snapshot(), name, keyOf(name, netip.Prefix{}), do, last})
}

// goAllRound has do called for all bans at once: at the start, when nothing else is to be done.
func (d *Daemon) goAllRound(do func(*entry)) {
	r := round{bans: d.bans.snapshot(), from: keyOf("", netip.Prefix{})}
	for _, e := range r.next(d.bans.len()) {
		do(e)
	}
}

// pardonAll lifts all bans of a jail, or of all jails (""), and forgets the failures behind them, in turns to come.
func (d *Daemon) pardonAll(name, reason string, last func(lifted int)) {
	lifted := 0
	d.goRound(name, func(e *entry) {
		d.pardonBan(e.ban(), reason)
		lifted++
	}, func() { last(lifted) })
}

// roundDue returns a channel that is ready while there is a round to go on with and the disk is not too far behind.
func (d *Daemon) roundDue() <-chan struct{} {
	if len(d.rounds) == 0 || d.writing && len(d.pending.batch.Lifted) >= maxLifted {
		return nil
	}
	return d.always
}

// goOn takes the next step of the round that was begun first.
func (d *Daemon) goOn(ctx context.Context) {
	if ctx.Err() != nil {
		return // the kernel would not take it any more
	}
	r := d.rounds[0]
	for _, e := range r.next(roundStep) {
		if e.there() {
			r.do(e)
		}
	}
	d.enforce(ctx)
	if r.from == nil {
		d.rounds = d.rounds[1:]
		r.last()
	}
}

// next returns the next n bans, and notes where those behind them begin.
func (r *round) next(n int) []*entry {
	step := make([]*entry, 0, n)
	from := r.from
	r.from = nil
	r.bans.bans.AscendGreaterOrEqual(from, func(e *entry) bool {
		switch {
		case r.jail != "" && e.jail != r.jail:
			return false
		case len(step) == n:
			r.from = e
			return false
		}
		step = append(step, e)
		return true
	})
	return step
}

// makeRoom lifts at most n bans of those that are too many.
func (d *Daemon) makeRoom(n int) {
	for range n {
		b, ok := d.bans.surplus()
		if !ok {
			return
		}
		d.lift(b, "full")
		d.stats.evicted++
		d.degrade(reasonFull, time.Now().Add(transient), nil)
	}
}

// liftServed lifts bans whose time is served, as many as a turn of the loop has time for, and reports whether these are all.
func (d *Daemon) liftServed() bool {
	now := time.Now()
	for _, b := range d.bans.expire(now, roundStep) {
		d.lift(b, "expired")
	}
	return !d.bans.overdue(now)
}
