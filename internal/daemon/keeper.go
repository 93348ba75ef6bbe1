package daemon

import (
	"context"
	"slices"
	"time"

	"exile/firewall"
	"exile/internal/control"
)

// keeper knows which part of the kernel is not yet as the table wants it.
type keeper struct {
	touched map[firewall.Key]struct{}
	wait    time.Duration     // before the next try
	retry   time.Time         // zero: the last change went through
	doubt   bool              // to be compared as soon as the bans that are over are lifted
	filled  bool              // compared at least once
	at      time.Time         // of the last comparison that went well
	took    time.Duration     // how long it took
	swept   bool              // what other backends left is gone
	looked  time.Time         // when the kernel was last asked how many bans it has
	lacking int               // bans that it lacked then
	dropped map[string]uint64 // packets that it said it had dropped, by set; nil: not asked yet
}

func (k *keeper) touch(keys ...firewall.Key) {
	if k.touched == nil {
		k.touched = make(map[firewall.Key]struct{})
	}
	for _, key := range keys {
		k.touched[key] = struct{}{}
	}
}

// change is what the touched keys need, and forgets that they were touched. want says until when a key is to be held, if it is.
func (k *keeper) change(want func(firewall.Key) (until time.Time, ok bool)) firewall.Change {
	var c firewall.Change
	for key := range k.touched {
		if until, ok := want(key); ok {
			c.Add = append(c.Add, firewall.Ban{Key: key, Until: until})
		} else {
			c.Del = append(c.Del, key)
		}
	}
	clear(k.touched)
	return c
}

// want returns until when the kernel has to hold the key. In a pause it holds none.
func (d *Daemon) want(k firewall.Key) (until time.Time, ok bool) {
	if d.pausing() {
		return time.Time{}, false
	}
	return d.plan.want(d.bans, k)
}

// wantedKeys is everything that the kernel has to hold.
func (d *Daemon) wantedKeys() []firewall.Ban {
	if d.pausing() {
		return nil
	}
	return d.plan.wanted(d.bans)
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
	if !d.liftServed() { // the kernel has dropped them by itself
		d.kernel.doubt = true
		return
	}
	d.kernel.doubt = false
	now := time.Now()
	have, err := d.plan.Backend.List(ctx)
	var change firewall.Change
	if err == nil {
		d.adopt(have)
		change = d.patient(firewall.Diff(d.wantedKeys(), have), now)
	}
	d.keepConnected(ctx, true)
	if !change.Empty() {
		err = d.plan.Backend.Apply(ctx, change)
	}
	if err != nil {
		d.refused(ctx, err)
		return
	}
	for _, b := range change.Add { // whoever got in while the kernel did not have the ban
		d.condemn(b.Key)
	}
	repaired := len(change.Add) + len(change.Del)
	clear(d.kernel.touched)
	done := time.Now()
	d.stampLatency(done)
	if d.kernel.filled && repaired > 0 && d.kernel.retry.IsZero() {
		d.stats.repairs += uint64(repaired)
		d.stats.lastRepair = now
		d.log.Warn("Repaired the kernel", "backend", d.plan.Name, "added", len(change.Add), "deleted", len(change.Del))
		d.later(control.Event{Kind: control.Repaired, Time: now, Count: repaired})
	}
	d.kernel.filled, d.kernel.retry, d.kernel.wait = true, time.Time{}, 0
	d.kernel.at, d.kernel.took, d.kernel.looked, d.kernel.lacking = done, done.Sub(now), done, 0
	d.recovered(reasonBackend)
	d.measure(ctx)
	d.sweep(ctx)
}

// patience is how long a new process leaves in the kernel what it does not know.
const patience = 5 * time.Minute

// patient leaves bans in the kernel that nobody wants until the logs have been read for the first time: the process before
// may have died between kernel and disk, and then the log says so once more. What was lifted goes at once.
func (d *Daemon) patient(c firewall.Change, now time.Time) firewall.Change {
	if d.informed || d.pausing() || now.Sub(d.started) > patience {
		return c
	}
	c.Del = slices.DeleteFunc(c.Del, func(k firewall.Key) bool {
		_, lifted := d.kernel.touched[k]
		return !lifted
	})
	return c
}

// inform notes that the logs have been read, and removes from the kernel what is still not wanted.
func (d *Daemon) inform(ctx context.Context) {
	for _, r := range d.sources {
		if !r.caughtUp {
			return
		}
	}
	if !d.informed {
		d.informed, d.kernel.filled = true, false // nobody has changed what is ours
		d.reconcile(ctx)
		d.cfg.Informed()
	}
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
	d.complete(ctx)
	d.stats.kernelErrors++
	d.degrade(reasonBackend, time.Time{}, err)
}

// A comparison lists all bans, which takes a tenth of a second for 100,000 of them. It may take a thousandth of the time;
// meanwhile the bans are counted, which costs next to nothing. What a count does not show is one ban exchanged for another.
const (
	compareShare = 1000
	compareEvery = time.Hour // at the latest
)

// verify makes sure that the kernel is as it should be, unless it is known to be wrong and waits for another try.
func (d *Daemon) verify(ctx context.Context) {
	if len(d.rounds) == 0 { // else it was asked for, or waits
		d.goRound("", d.checkFriend, func() {})
	}
	d.measure(ctx)
	d.keepConnected(ctx, true)
	rest := min(compareShare*d.kernel.took, compareEvery)
	switch {
	case !d.kernel.retry.IsZero():
	case time.Since(d.kernel.at) < rest && d.complete(ctx):
		d.sweep(ctx)
	default:
		d.reconcile(ctx)
	}
}

// lookEvery is how old the answer may be that is given to whoever asks how many bans the kernel has.
const lookEvery = 5 * time.Second

// look asks the kernel how many bans it has, if that was not done lately, and repairs what is missing.
func (d *Daemon) look(ctx context.Context) {
	if time.Since(d.kernel.looked) < lookEvery || !d.kernel.filled {
		return
	}
	d.measure(ctx)
	if !d.complete(ctx) && d.kernel.retry.IsZero() {
		d.reconcile(ctx)
	}
}

// complete asks the kernel how many bans it has, and reports whether they are as many as they should be. Where that is not
// to be had, they are not.
func (d *Daemon) complete(ctx context.Context) bool {
	now := time.Now()
	least, most := 0, 0
	if !d.pausing() {
		least, most = d.plan.count(d.bans, now)
	}
	n := 0
	if c, ok := d.plan.Backend.(firewall.Counter); ok {
		n, _ = c.Count(ctx) // 0 if nobody knows
	}
	d.kernel.looked, d.kernel.lacking = now, max(least-n, 0)
	return least <= n && n <= most
}
