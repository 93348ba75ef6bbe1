package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/state"
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
		questions, question := d.nextQuestion()
		select {
		case <-ctx.Done():
			return
		case dl := <-d.readable():
			d.handle(ctx, dl)
		case ask := <-d.requests:
			ask(ctx)
		case f := <-d.failures:
			d.sourceFailed(f)
		case w := <-d.written:
			d.settle(w)
		case <-d.touched:
			d.reconcile(ctx)
		case <-verify.C:
			d.verify(ctx)
		case <-tick.C:
			d.tick(ctx)
		case <-due.C:
		case <-d.roundDue():
			d.goOn(ctx)
		case kills <- kill:
			d.condemned = nil
		case questions <- question:
			d.asked = d.asked[1:]
		case a := <-d.answers:
			d.answer(a)
			d.enforce(ctx)
		}
		d.endTrial(ctx)
		d.endPause(ctx)
		d.expire(ctx)
		d.forgetPast(time.Now())
		d.show()
		d.flush()
		due.Reset(d.untilDue())
	}
}

// maxUntold is how many announcements may wait for the disk before the logs do, without those of lifted bans: a flush is no
// reason to ban later.
const maxUntold = 5000

// readable is where batches come from; nil while the disk is that far behind.
func (d *Daemon) readable() <-chan delivery {
	if d.writing && len(d.pending.events)-len(d.pending.batch.Lifted) >= maxUntold {
		return nil
	}
	return d.batches
}

// handle handles a batch and lets its source go on.
func (d *Daemon) handle(ctx context.Context, dl delivery) {
	defer close(dl.done)
	r, b := dl.from, dl.batch
	for i := range b.Entries {
		d.observe(r, &b.Entries[i])
	}
	for _, g := range b.Gaps {
		d.gap(g)
	}
	d.undated(r, b.Undated)
	if !b.Position.IsZero() {
		r.move(b.Position)
		d.pending.move()
	}
	d.enforce(ctx)
	d.standing(r, b.Trouble)
	d.lookInstead(r)
	if b.CaughtUp && !r.caughtUp {
		r.caughtUp = true
		d.recountAll(r)
		d.introduce()
		d.inform(ctx)
	}
}

// move notes that everything up to p was handled.
func (r *running) move(p journal.Position) {
	r.position = p
	if at := p.Time(); !at.IsZero() {
		if r.first.IsZero() {
			r.first = at
		}
		r.low = r.Source.low(at)
	}
}

// observe shows an entry to the jails that read its source.
func (d *Daemon) observe(r *running, e *journal.Entry) {
	r.boot = e.Boot
	if !e.Replayed {
		d.stats.entries++
		d.stats.lastEntry, d.stats.lag = e.Time, time.Since(e.Time)
	}
	for _, j := range r.Jails {
		d.recount(j, e.Time)
		if !j.Accepts(e) {
			continue
		}
		decisions := j.Observe(e)
		d.pass(j, e.Time, e.Replayed)
		if e.Replayed {
			continue
		}
		for a := range j.Logins {
			d.welcome(j, a, e.Time)
		}
		for _, dec := range decisions {
			d.decide(j, dec, j.Origin)
		}
	}
}

// decide turns a decision into a ban, unless there is one already, or the decision has been carried out before.
func (d *Daemon) decide(j *Jail, dec jail.Decision, origin control.Origin) {
	b := control.Ban{
		Jail: j.Info.Name, Prefix: dec.Prefix, Since: dec.At, Until: dec.Until,
		Failures: dec.Failures, Offence: dec.Offence, Origin: j.origin(dec.Prefix, origin), Reason: dec.Reason.String(), Evidence: evidence(dec.Evidence),
	}
	switch {
	case dec.Protected != "":
		d.spare(b, dec.Protected)
		d.guessing(&dec)
	case d.served(b):
	case d.pausing():
		j.Release(b.Prefix)
	case j.Ignored != nil:
		d.consult(j, b, dec.Ladder)
	default:
		d.convict(j, b, dec.Ladder)
	}
}

// evidence is the entries behind a decision as text; a cursor is for journalctl --cursor.
func evidence(traces []jail.Trace) string {
	var b strings.Builder
	for i, t := range traces {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(t.Time.Format("2006-01-02T15:04:05.000000Z07:00") + " " + t.Rule + " " + t.Position.String())
	}
	return b.String()
}

// spare tells that a ban is not made.
func (d *Daemon) spare(b control.Ban, why string) {
	d.stats.protected++
	d.days.on(b.Since, time.Now()).Protected++
	d.later(control.Event{Kind: control.Protected, Time: time.Now(), Ban: b, Reason: why})
}

// served reports whether the prefix is banned already, or was for what it is to be banned for: entries that are read again
// lead to the same decisions. A past that lies in the future says only that the clock was put back.
func (d *Daemon) served(b control.Ban) bool {
	cleared := d.past.get(whoOf(b)).Cleared
	if !b.Since.After(cleared) && !cleared.After(time.Now()) {
		return true
	}
	covering := d.covering(b.Jail, b.Prefix)
	if jail.AmidSessions(b.Reason) { // who was spared until now is not any more
		return slices.ContainsFunc(covering, strict)
	}
	return len(covering) > 0
}

// convict gives a ban its length, at most that of its offence in the ladder, and bans.
func (d *Daemon) convict(j *Jail, b control.Ban, ladder []time.Duration) {
	if b.Offence == 0 {
		d.sentence(j, &b, ladder)
	}
	d.remember(whoOf(b), state.Past{Offences: b.Offence, Last: b.Since, Cleared: b.Since})
	d.impose(j, b)
	d.relapse(j, b)
}

// sentence sets the offence number and the end of a ban by the history of its prefix.
func (d *Daemon) sentence(j *Jail, b *control.Ban, ladder []time.Duration) {
	b.Offence = 1 + d.offences(j, *b)
	b.Until = time.Time{}
	if t := jail.Capped(ladder, b.Offence, j.Sentence(b.Offence, b.Prefix)); t != jail.Permanent {
		b.Until = b.Since.Add(t)
	}
}

// impose bans, and more than was asked for when that makes a group. Where the log was read late and the time is served
// already, it does not.
func (d *Daemon) impose(j *Jail, b control.Ban) {
	if over(b, time.Now()) {
		return
	}
	if stands, ok := d.bans.get(b.Jail, b.Prefix); ok {
		b.Until = longer(stands.Until, b.Until)
	}
	d.enter(j, b)
	d.group(j, b)
	d.makeRoom(2) // for this one, and for one of those that a new bound left over
}

// enter puts a ban into the table and on its way to the kernel, the disk and the world.
func (d *Daemon) enter(j *Jail, b control.Ban) {
	told := b
	b.Evidence = "" // many bans are kept, and for long
	if old, ok := d.bans.get(b.Jail, b.Prefix); ok && old.Origin != b.Origin {
		d.kernel.touch(j.keys(&old)...) // it may have closed something else
	}
	d.bans.put(b)
	d.past.note(whoOf(b), true)
	d.pending.put(b)
	d.kernel.touch(j.keys(&b)...)
	d.condemn(j.keys(&b)...)
	d.stats.bans++
	d.days.on(b.Since, time.Now()).Bans++
	j.counters.ban(b.Origin)
	j.counters.lastBan = b.Since
	d.later(control.Event{Kind: control.BanNew, Time: time.Now(), Ban: told})
}

// lift takes a ban off, wherever it is.
func (d *Daemon) lift(b control.Ban, reason string) {
	if j := d.plan.jail(b.Jail); j != nil {
		d.kernel.touch(j.keys(&b)...)
		if reason != "covered" {
			j.Release(b.Prefix)
		}
		if j.Aggregator != nil {
			j.Aggregator.Remove(b.Prefix)
		}
	}
	d.bans.remove(b.Jail, b.Prefix)
	d.past.note(whoOf(b), false)
	d.pending.lift(b)
	d.stats.unbans++
	d.later(control.Event{Kind: control.BanRemoved, Time: time.Now(), Ban: b, Reason: reason})
}

// expire lifts bans whose time is served. Where there are more of them the next turn comes at once.
func (d *Daemon) expire(ctx context.Context) {
	if d.liftServed() && d.kernel.doubt {
		d.reconcile(ctx)
	}
	d.makeRoom(roundStep)
	d.enforce(ctx)
}

// tick does what time brings.
func (d *Daemon) tick(ctx context.Context) {
	now := time.Now()
	for _, s := range d.sources {
		if !s.caughtUp {
			continue // its own entries are the clock while it reads the past
		}
		for _, j := range s.Jails {
			decisions := j.Advance(now)
			d.pass(j, now, false)
			for _, dec := range decisions {
				d.decide(j, dec, j.Origin)
			}
		}
	}
	d.enforce(ctx)
	for _, reason := range d.health.expire(now) {
		d.announceRecovered(reason)
	}
	d.tell()
}

// gap notes entries that will never be read.
func (d *Daemon) gap(g journal.Gap) {
	d.stats.gaps++
	reason := reasonGap
	switch g.Kind {
	case journal.GapSuppressed:
		reason = reasonSuppressed
		d.stats.suppressed += max(g.Entries, 1)
	case journal.GapUnreadable:
		d.stats.skipped++
	}
	d.log.Warn("Log entries are missing", "kind", g.Kind, "entries", g.Entries, "file", g.File, "unit", g.Unit,
		"since", g.Since, "until", g.Until, "error", g.Err)
	if !errors.Is(g.Err, fs.ErrPermission) { // of these the source says how long they last
		d.degrade(reason, time.Now().Add(transient), g.Err)
	}
}

// undated counts lines whose time cannot be read, and tells of the first.
func (d *Daemon) undated(r *running, n int) {
	if n > 0 && !r.undated {
		r.undated = true
		d.log.Warn("Lines have no time that can be read; they count as of the line before", "source", r.Name)
	}
	d.stats.undated += uint64(n)
}

// lookInstead notes whether the source reads as it should.
func (d *Daemon) lookInstead(r *running) {
	if r.Instead == nil {
		return
	}
	if err := r.Instead(); err != nil {
		d.degrade(reasonFormat, time.Time{}, err)
	} else {
		d.recovered(reasonFormat)
	}
}

func (d *Daemon) sourceFailed(f failure) { d.standing(f.from, f.err) }

// standing notes what keeps a source from reading all that it should, and degrades the daemon for as long as there is such a
// source: its error says what helps.
func (d *Daemon) standing(r *running, trouble error) {
	r.trouble = trouble
	var all []string
	for _, s := range d.plan.Sources {
		if one := d.sources[s.Name]; one != nil && one.trouble != nil {
			all = append(all, fmt.Sprintf("%s: %v", s.Name, one.trouble))
		}
	}
	if len(all) == 0 {
		d.recovered(reasonSource)
		return
	}
	d.degradeWith(reasonSource, "A log cannot be read, and is tried again. "+strings.Join(all, "; "), time.Time{}, trouble)
}

// condemn has the connections cut that the keys ban, if that is asked for.
func (d *Daemon) condemn(keys ...firewall.Key) {
	if d.plan.Kill != nil && !d.pausing() {
		d.condemned = append(d.condemned, keys...)
	}
}

// nextKill returns the channel of the killer and the work for it; both nil when there is none, and until it is known who is
// logged in.
func (d *Daemon) nextKill() (chan<- func(context.Context) error, func(context.Context) error) {
	if len(d.condemned) == 0 || d.plan.Kill == nil || !d.allCaughtUp() && time.Since(d.started) < patience {
		return nil, nil
	}
	kill, keys, spared := d.plan.Kill, slices.Clone(d.condemned), slices.Clone(d.connected.spared)
	return d.kills, func(ctx context.Context) error { return kill(ctx, keys, spared) }
}

// untilDue is how long nothing has to be done.
func (d *Daemon) untilDue() time.Duration {
	if d.bans.full() {
		return 0
	}
	wait := verifyEvery
	for _, at := range []time.Time{d.bans.nextEnd(), d.kernel.retry, d.writeAt(), d.paused, d.trial.Until} {
		if !at.IsZero() {
			wait = min(wait, time.Until(at))
		}
	}
	return max(wait, 0)
}
