package daemon

import (
	"context"
	"time"

	"exile/internal/control"
	"exile/jail"
	"exile/journal"
)

// The periods of the loop.
const (
	tickEvery   = 5 * time.Second // weak evidence ripens, reasons expire, STATUS= is renewed
	verifyEvery = time.Minute     // the kernel is compared
	retryDisk   = 5 * time.Second
)

// loop does one thing at a time until ctx ends: a batch, a question, or what time brings.
func (d *Daemon) loop(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	verify := time.NewTicker(verifyEvery)
	defer verify.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		kills, kill := d.nextKill()
		questions, question := d.asker.next()
		ticked := false
		select {
		case <-ctx.Done():
			return
		case dl := <-d.readable():
			d.handle(ctx, dl)
		case ask := <-d.requests:
			ask(ctx)
		case f := <-d.sources.failures:
			d.sourceFailed(f)
		case w := <-d.ledger.written:
			d.settle(w)
		case <-d.kernel.changed:
			d.kernel.compareSoon()
		case <-verify.C:
			d.verify(ctx)
		case <-tick.C:
			d.tick()
			ticked = true
		case <-due.C:
		case <-d.roundDue():
			d.goOn(ctx)
		case kills <- kill:
			d.killer.sent()
		case questions <- question:
			d.asker.sent()
		case a := <-d.asker.answers:
			d.answer(a)
		}
		d.read(ctx)
		d.kernel.endPause()
		d.suspendBlocklists()
		d.expire()
		d.enforce(ctx)
		d.endRound(ctx)
		d.ledger.forgetPast(time.Now())
		d.announceState()
		d.commit()
		d.replan(ctx, ticked)
		due.Reset(d.untilDue())
	}
}

// readable is where batches come from; nil while the disk is too far behind.
func (d *Daemon) readable() <-chan delivery {
	if d.ledger.full() {
		return nil
	}
	return d.sources.batches
}

// read handles a batch that waits, whatever the turn is for: while very many bans end, other channels are ready all the time, and an attack must
// not wait until the select happens to choose it.
func (d *Daemon) read(ctx context.Context) {
	select {
	case dl := <-d.readable():
		d.handle(ctx, dl)
	default:
	}
}

// handle shows a batch to the jails and lets its source go on.
func (d *Daemon) handle(ctx context.Context, dl delivery) {
	defer close(dl.done)
	r, b := dl.from, dl.batch
	for i := range b.Entries {
		d.observe(r, &b.Entries[i])
	}
	d.explainLeaks(ctx, r.Jails)
	for _, g := range b.Gaps {
		d.gap(g)
	}
	d.undated(r, b.Undated)
	if !b.Position.IsZero() {
		r.move(b.Position)
		d.ledger.move()
	}
	d.standing(r, b.Trouble)
	d.lookInstead(r)
	if b.CaughtUp && !r.caughtUp {
		r.caughtUp = true
		for _, j := range r.Jails {
			j.goLive()
		}
		d.noteFirstLook(r)
		d.recountAll(r)
		d.sources.announceSessions()
		d.inform(ctx)
	}
}

// observe shows an entry to the jails that read its source.
func (d *Daemon) observe(r *running, e *journal.Entry) {
	r.boot = e.Boot
	if r.first.IsZero() {
		r.first = e.Time
	}
	if !e.Replayed {
		d.stats.entries++
		d.stats.lastEntry, d.stats.lag = e.Time, time.Since(e.Time)
		if d.stats.lag > leakLag {
			r.late = time.Now()
		}
	}
	accepted := false
	for _, j := range r.Jails {
		d.recount(j, e.Time)
		if !j.Accepts(e) {
			continue
		}
		accepted = true
		j.rereads = e.Replayed
		decisions := j.Observe(e)
		d.countAttempts(j, e.Time, e.Replayed)
		if e.Replayed {
			continue
		}
		d.noteLeak(r, j, e.Time)
		for a := range j.Logins {
			d.countDeniedLogin(j, a, e.Time)
		}
		for _, dec := range decisions {
			if r.stale(j, dec.At) {
				j.Release(dec.Prefix)
				continue
			}
			d.decide(j, dec, j.originOf(e))
		}
	}
	if !accepted {
		d.checkElsewhere(r, e)
	}
}

// decide turns a decision into a ban, unless there is one already, or the decision has been carried out before.
func (d *Daemon) decide(j *Jail, dec jail.Decision, origin control.Origin) {
	b := j.Of(&dec, origin)
	b.Reason, b.Evidence = dec.Reason.String(), evidence(dec.Evidence)
	switch {
	case dec.Protected != "":
		d.spare(b, dec.Protected)
		d.noteProxied(j, &b, dec.Protected)
		d.guessing(&dec)
	case d.rules().Served(&j.Jail, &b, time.Now()):
	case d.kernel.pausing():
		j.Release(b.Prefix)
	case j.Ignored != nil:
		d.consult(j, b, dec.Ladder)
	default:
		d.banOffender(j, b, dec.Ladder)
	}
}

// expire lifts bans whose time is over. If more are left, the next turn follows at once.
func (d *Daemon) expire() {
	d.liftServed()
	d.makeRoom(roundStep)
}

// tick does what time brings.
func (d *Daemon) tick() {
	now := time.Now()
	for _, j := range d.plan.Jails {
		j.Pardon(d.ledger.pardoned(j.Info.Name)) // the clock may have been put back
	}
	for _, s := range d.sources.running {
		if !s.caughtUp {
			continue // while it reads the past, its entries are the clock
		}
		for _, j := range s.Jails {
			j.rereads = false
			decisions := j.Advance(now)
			d.countAttempts(j, now, false)
			for _, dec := range decisions {
				d.decide(j, dec, j.Origin)
			}
		}
	}
	d.checkAllowlists()
	d.checkBlocklists()
	d.checkPlaces()
	d.checkDrift()
	d.checkClock(now)
	d.health.expire(now)
	d.notify()
}

// replan changes the plan where it is due. That may open and stop things, so it comes last in a turn: no ban waits for it.
func (d *Daemon) replan(ctx context.Context, ticked bool) {
	d.endTrial(ctx)
	d.retryFiles(ctx)
	if ticked {
		d.improve(ctx)
	}
}

// improve switches to a plan that carries out the configuration better, if there is one.
func (d *Daemon) improve(ctx context.Context) {
	if d.plan.Better == nil {
		return
	}
	next, err := d.plan.Better(ctx)
	if err != nil {
		d.cfg.Log.Debug("The plan in force cannot be improved yet", "reason", err)
	}
	if next == nil || err != nil {
		return
	}
	d.cfg.Log.Info("What the configuration asks for works now; switching to it")
	if err := d.exchange(ctx, next, func() {}); err != nil {
		d.cfg.Log.Warn("Failed to close the previous backend", "error", err)
	}
}

// untilDue returns how long the loop may sleep.
func (d *Daemon) untilDue() time.Duration {
	if d.ledger.bans.full() || d.kernel.doubt {
		return 0
	}
	wait := verifyEvery
	for _, at := range []time.Time{d.ledger.bans.nextEnd(), d.kernel.backend.retry, d.ledger.writeAt(), d.kernel.paused, d.trial.running.Until, d.fallback.retry} {
		if !at.IsZero() {
			wait = min(wait, time.Until(at))
		}
	}
	return max(wait, 0)
}
