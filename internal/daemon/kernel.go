package daemon

import (
	"context"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/control"
)

// enforce makes the kernel hold what the table says: for the keys that were touched or, in doubt, for all. It runs at the end of each
// turn of the loop, before the disk and the world hear what the turn did. Bans are applied only here, and in a comparison whose result
// a caller waits for; a reset and a flush of everything empty the kernel at once, and have it compared.
func (d *Daemon) enforce(ctx context.Context) {
	now := time.Now()
	if d.kernel.due(now) {
		d.reconcile(ctx)
		return
	}
	change := d.kernel.change(d.want)
	if !change.Empty() {
		d.sparer.changed()
	}
	d.keepConnected(ctx, false)
	if change.Empty() {
		return
	}
	if err := d.plan.Backend.Apply(ctx, change); err != nil {
		d.refused(ctx, err)
		return
	}
	d.ledger.stampLatency(time.Now())
}

// want returns until when the kernel has to hold the key. During a pause it holds none.
func (d *Daemon) want(k firewall.Key) (until time.Time, ok bool) {
	if d.kernel.pausing() {
		return time.Time{}, false
	}
	return d.plan.want(d.ledger.bans, k)
}

// wantedKeys is everything that the kernel has to hold.
func (d *Daemon) wantedKeys() []firewall.Ban {
	if d.kernel.pausing() {
		return nil
	}
	return d.plan.wanted(d.ledger.bans)
}

// reconcile compares the kernel with the table and repairs what differs. It is the answer to every start, error and
// doubt.
func (d *Daemon) reconcile(ctx context.Context) {
	d.kernel.doubt = false
	began := time.Now()
	change, err := d.difference(ctx, began)
	d.keepConnected(ctx, true)
	if !change.Empty() {
		err = d.plan.Backend.Apply(ctx, change)
	}
	if err != nil {
		d.refused(ctx, err)
		return
	}
	for _, b := range change.Add { // connections may have been opened while the kernel lacked the ban
		d.queueKill(b.Key)
	}
	if d.kernel.repairs() {
		d.announceRepair(d.kernel.unasked(change), began)
	}
	done := time.Now()
	d.ledger.stampLatency(done)
	d.kernel.compared(began, done, !change.Empty())
	d.health.recovered(reasonBackend)
	d.measure(ctx)
	d.sweep(ctx)
}

// difference returns the change that makes the kernel hold what the table says. If the state was lost, bans in the kernel are adopted first.
func (d *Daemon) difference(ctx context.Context, now time.Time) (firewall.Change, error) {
	have, err := d.plan.Backend.List(ctx)
	if err != nil {
		return firewall.Change{}, err
	}
	d.adopt(have)
	return d.patient(lasting(firewall.Diff(d.wantedKeys(), have), time.Now()), now), nil
}

// lasting leaves out of a change the bans that are over but not lifted yet: the kernel has dropped them by itself. They may be so many that
// the comparison, and whoever waits for it, must not wait until all are lifted.
func lasting(c firewall.Change, now time.Time) firewall.Change {
	c.Add = slices.DeleteFunc(c.Add, func(b firewall.Ban) bool { return !b.Until.IsZero() && !b.Until.After(now) })
	return c
}

// announceRepair announces that others had changed our part of the kernel.
func (d *Daemon) announceRepair(repair firewall.Change, now time.Time) {
	if repair.Empty() {
		return
	}
	added, deleted := len(repair.Add), len(repair.Del)
	d.stats.repairs += uint64(added + deleted)
	d.stats.lastRepair = now
	d.cfg.Log.Warn("Repaired the kernel", "backend", d.plan.Name, "added", added, "deleted", deleted)
	d.ledger.later(control.Event{Kind: control.Repaired, Time: now, Count: added + deleted})
}

// patience is how long a new process leaves bans in the kernel that it does not know.
const patience = 5 * time.Minute

// patient keeps unknown bans in the kernel until the logs have been read to their end once: the previous process may have died between
// kernel and disk, and then the log leads to the same bans again. Bans that were lifted go at once, except those of a flush, which go step by
// step.
func (d *Daemon) patient(c firewall.Change, now time.Time) firewall.Change {
	if d.kernel.pausing() || !d.rounds.flushing() && (d.sources.informed || now.Sub(d.stats.started) > patience) {
		return c
	}
	c.Del = slices.DeleteFunc(c.Del, func(k firewall.Key) bool { return !d.kernel.asked(k) })
	return c
}

// sweep removes what other backends left. It runs after the comparison, so that no gate is open in between.
func (d *Daemon) sweep(ctx context.Context) {
	if d.kernel.backend.swept || d.plan.Sweep == nil {
		return
	}
	if err := d.plan.Sweep(ctx); err != nil {
		d.cfg.Log.Warn("Failed to remove what another backend left; trying again later", "error", err)
		return
	}
	d.kernel.backend.swept = true
}

// refused notes that the kernel refused a change and schedules another try. It does nothing when the daemon is stopping.
func (d *Daemon) refused(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	d.kernel.failed(time.Now())
	d.complete(ctx)
	d.stats.kernelErrors++
	d.health.degrade(reasonBackend, time.Time{}, err)
}

// A comparison lists all bans, which takes a tenth of a second for 100,000 of them. It may take a thousandth of the time;
// meanwhile the bans are counted, which costs next to nothing. What a count does not show is one ban exchanged for another.
const (
	compareShare = 1000
	compareEvery = time.Hour // at the latest
)

// verify checks that the kernel is as it should be, unless it is known to be wrong and another try is scheduled.
func (d *Daemon) verify(ctx context.Context) {
	if d.rounds.idle() { // else one is under way or queued
		d.goRound(d.checkFriend, func() {})
	}
	d.measure(ctx)
	d.keepConnected(ctx, true)
	switch {
	case d.kernel.failing():
	case d.kernel.rests() && d.complete(ctx):
		d.sweep(ctx)
	default:
		d.kernel.compareSoon()
	}
}

// lookEvery is the maximum age of the number of bans in the kernel that Status reports.
const lookEvery = 5 * time.Second

// look counts the bans in the kernel, if that was not done recently, and repairs what is missing.
func (d *Daemon) look(ctx context.Context) {
	if !d.kernel.stale() {
		return
	}
	d.measure(ctx)
	if !d.complete(ctx) && !d.kernel.failing() {
		d.reconcile(ctx)
	}
}

// complete counts the bans in the kernel and reports whether the number is as it should be. A backend that cannot count is never
// complete.
func (d *Daemon) complete(ctx context.Context) bool {
	now := time.Now()
	least, most := 0, 0
	if !d.kernel.pausing() {
		least, most = d.plan.count(d.ledger.bans, now)
	}
	n := 0
	if c, ok := d.plan.Backend.(firewall.Counter); ok {
		n, _ = c.Count(ctx) // 0 on error
	}
	d.kernel.counted(now, max(least-n, 0))
	return least <= n && (n <= most || d.rounds.flushing())
}

// measure reads the counters of dropped packets, if the backend has any.
func (d *Daemon) measure(ctx context.Context) {
	meter, ok := d.plan.Backend.(firewall.Meter)
	if !ok {
		return
	}
	dropped, err := meter.Dropped(ctx)
	if err != nil {
		d.cfg.Log.Debug("The kernel does not report dropped packets", "error", err)
		return
	}
	for set, n := range d.kernel.fresh(dropped) {
		d.stats.drop(set, n)
		if n > 0 {
			d.ledger.day(time.Now()).Dropped += n
			d.ledger.sums("", time.Now()).Dropped += n
		}
	}
}
