package daemon

import (
	"context"
	"time"

	"exile/firewall"
	"exile/internal/control"
)

// keeper knows which part of the kernel is not yet as the table wants it.
type keeper struct {
	touched map[firewall.Key]struct{}
	wait    time.Duration // before the next try
	retry   time.Time     // zero: the last change went through
	filled  bool          // compared at least once
	at      time.Time     // of the last comparison that went well
	swept   bool          // what other backends left is gone
	held    int           // bans that the kernel had when it last refused something
}

func (k *keeper) touch(keys ...firewall.Key) {
	if k.touched == nil {
		k.touched = make(map[firewall.Key]struct{})
	}
	for _, key := range keys {
		k.touched[key] = struct{}{}
	}
}

// change is what the touched keys need, and forgets that they were touched.
func (k *keeper) change(p *Plan, t *table) firewall.Change {
	var c firewall.Change
	for key := range k.touched {
		if until, ok := p.want(t, key); ok {
			c.Add = append(c.Add, firewall.Ban{Key: key, Until: until})
		} else {
			c.Del = append(c.Del, key)
		}
	}
	clear(k.touched)
	return c
}

// due reports whether a failed change is to be tried again.
func (k *keeper) due(now time.Time) bool { return !k.retry.IsZero() && !k.retry.After(now) }

func (k *keeper) failed(now time.Time) {
	k.wait = min(max(2*k.wait, time.Second), time.Minute)
	k.retry = now.Add(k.wait)
}

// reconcile compares the kernel with the table and repairs what differs. It is the answer to every start, error and
// doubt.
func (d *Daemon) reconcile(ctx context.Context) {
	now := time.Now()
	have, err := d.plan.Backend.List(ctx)
	var change firewall.Change
	if err == nil {
		d.adopt(have)
		change = firewall.Diff(d.plan.wanted(d.bans), have)
	}
	if !change.Empty() {
		err = d.plan.Backend.Apply(ctx, change)
	}
	if err != nil {
		d.refused(ctx, err)
		return
	}
	repaired := len(change.Add) + len(change.Del)
	clear(d.kernel.touched)
	d.stampLatency(time.Now())
	if d.kernel.filled && repaired > 0 && d.kernel.retry.IsZero() {
		d.stats.repairs += uint64(repaired)
		d.stats.lastRepair = now
		d.log.Warn("Repaired the kernel", "backend", d.plan.Name, "added", len(change.Add), "deleted", len(change.Del))
		d.later(control.Event{Kind: control.Repaired, Time: now, Count: repaired})
	}
	d.kernel.filled, d.kernel.at, d.kernel.retry, d.kernel.wait = true, now, time.Time{}, 0
	d.recovered(reasonBackend)
	d.sweep(ctx)
}

// sweep removes what other backends left. Only now, so that no gate stands open meanwhile.
func (d *Daemon) sweep(ctx context.Context) {
	if d.kernel.swept || d.plan.Sweep == nil {
		return
	}
	if err := d.plan.Sweep(ctx); err != nil {
		d.log.Warn("Failed to remove what another backend left; it is tried again", "error", err)
		return
	}
	d.kernel.swept = true
}

// refused notes that the kernel did not do what it was asked, unless we are ending, and sees to another try.
func (d *Daemon) refused(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	d.kernel.failed(time.Now())
	d.kernel.held, _ = d.count(ctx) // 0 if nobody knows
	d.stats.kernelErrors++
	d.degrade(reasonBackend, time.Time{}, err)
}

// certainEvery is how often the kernel is compared although it has as many bans as it should: somebody may have exchanged
// one for another.
const certainEvery = time.Hour

// verify makes sure that the kernel is as it should be, unless it is known to be wrong and waits for another try. The
// number of bans costs so little that nobody waits for it; what it does not show, a watcher hears of.
func (d *Daemon) verify(ctx context.Context) {
	d.release()
	switch {
	case !d.kernel.retry.IsZero():
	case time.Since(d.kernel.at) < certainEvery && d.complete(ctx):
		d.sweep(ctx)
	default:
		d.reconcile(ctx)
	}
}

// complete reports whether the kernel has as many bans as it should.
func (d *Daemon) complete(ctx context.Context) bool {
	n, ok := d.count(ctx)
	least, most := d.plan.count(d.bans, time.Now())
	return ok && least <= n && n <= most
}

// count asks how many bans the kernel has; false if that is not to be had.
func (d *Daemon) count(ctx context.Context) (int, bool) {
	c, ok := d.plan.Backend.(firewall.Counter)
	if !ok {
		return 0, false
	}
	n, err := c.Count(ctx)
	return n, err == nil
}
