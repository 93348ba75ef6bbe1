package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// change runs f in the loop, puts what it did into the kernel, and returns when it is on disk and announced.
func (d *Daemon) change(ctx context.Context, f func() error) error {
	return d.changeIn(ctx, func(context.Context) error { return f() })
}

// changeIn is change for an f that needs the context of the loop.
func (d *Daemon) changeIn(ctx context.Context, f func(life context.Context) error) error {
	return d.await(ctx, func(life context.Context, done func()) error {
		err := f(life)
		if err == nil {
			d.enforce(life)
			done()
		}
		return err
	})
}

// changeLater is change for an f whose change goes on in later turns of the loop, until it calls done.
func (d *Daemon) changeLater(ctx context.Context, f func(done func()) error) error {
	return d.await(ctx, func(_ context.Context, done func()) error { return f(done) })
}

// await runs f in the loop, and waits until what was changed before done was called is on disk and announced.
func (d *Daemon) await(ctx context.Context, f func(life context.Context, done func()) error) error {
	stored := make(chan error, 1)
	asked := d.ask(ctx, func(life context.Context) {
		err := f(life, func() { d.pending.done = append(d.pending.done, func() { stored <- nil }) })
		if err != nil {
			stored <- err
		}
	})
	if asked != nil {
		return asked
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closed:
		return stoppedUnless(stored)
	}
}

// stoppedUnless is for changes whose end comes together with the daemon's.
func stoppedUnless(stored <-chan error) error {
	select {
	case err := <-stored:
		return err
	default:
		return errStopped
	}
}

// Ban implements control.Writer.
func (d *Daemon) Ban(ctx context.Context, r control.BanRequest) (b control.Ban, err error) {
	err = d.change(ctx, func() (err error) {
		b, err = d.banByHand(r)
		return err
	})
	return b, err
}

// BanMany implements control.Writer.
func (d *Daemon) BanMany(ctx context.Context, requests []control.BanRequest) ([]error, error) {
	errs := make([]error, len(requests))
	err := d.change(ctx, func() error {
		for i, r := range requests {
			_, errs[i] = d.banByHand(r)
		}
		return nil
	})
	return errs, err
}

func checkRequest(r control.BanRequest) error {
	switch {
	case !r.Prefix.IsValid():
		return fmt.Errorf("%w: no address", control.ErrInvalid)
	case r.Prefix.Bits() < control.Widest(r.Prefix):
		return fmt.Errorf("%w: %s is too wide: at least /%d", control.ErrInvalid, r.Prefix, control.Widest(r.Prefix))
	case r.Duration < 0:
		return fmt.Errorf("%w: a ban of %s", control.ErrInvalid, r.Duration)
	}
	return nil
}

// banByHand leaves a ban alone that stands for longer: whoever bans does not want to set free.
func (d *Daemon) banByHand(r control.BanRequest) (control.Ban, error) {
	if err := errors.Join(checkRequest(r), d.known(r.Jail)); err != nil {
		return control.Ban{}, err
	}
	j := d.plan.Jails[0]
	if r.Jail != "" {
		j = d.plan.jail(r.Jail)
	}
	p := r.Prefix.Masked()
	why, ok := d.plan.protects(j, p, time.Now())
	if !ok {
		why, ok = d.plan.whoIsConnected(p, time.Now())
	}
	if ok && !r.Force {
		return control.Ban{}, fmt.Errorf("%w: %s: %s", control.ErrProtected, p, why)
	}
	b := control.Ban{Jail: j.Info.Name, Prefix: p, Since: time.Now(), Origin: control.OriginManual, Reason: r.Reason}
	t := j.BanTime(r)
	if t != jail.Permanent {
		b.Until = b.Since.Add(t)
	}
	stands, ok := d.bans.get(b.Jail, p)
	if ok && longer(stands.Until, b.Until).Equal(stands.Until) && stands.Origin != control.OriginGroup {
		return stands, nil
	}
	d.impose(j, b)
	return b, nil
}

// BanTime is how long a ban by hand lasts.
func (j *Jail) BanTime(r control.BanRequest) time.Duration {
	switch {
	case r.Permanent:
		return jail.Permanent
	case r.Duration > 0:
		return r.Duration
	}
	return j.Info.BanTime
}

// Unban implements control.Writer.
func (d *Daemon) Unban(ctx context.Context, name string, p netip.Prefix) (n int, err error) {
	if !p.IsValid() {
		return d.flushBans(ctx, name)
	}
	err = d.change(ctx, func() error {
		if err := d.known(name); err != nil {
			return err
		}
		n = d.pardon(name, p.Masked())
		return nil
	})
	return n, err
}

// flushBans lifts every ban of a jail, or of all jails, that there is now.
func (d *Daemon) flushBans(ctx context.Context, name string) (n int, err error) {
	lifted := 0
	err = d.changeLater(ctx, func(done func()) error {
		if err := d.known(name); err != nil {
			return err
		}
		d.pardonAll(name, "flush", func(n int) {
			lifted = n
			done()
		})
		return nil
	})
	if err != nil {
		return 0, err // and lifted may still be the loop's
	}
	return lifted, nil
}

// pardon lifts every ban that touches p, and forgets the failures in it.
func (d *Daemon) pardon(name string, p netip.Prefix) int {
	bans := append(d.covering(name, p), d.within(name, p)...)
	for _, b := range bans {
		d.pardonBan(b, "unban")
	}
	for _, j := range d.named(name) {
		d.clearCounted(j, p)
	}
	return len(bans)
}

// pardonBan forgets the failures behind a ban and lifts it. In this order the past is put among those of the idle once.
func (d *Daemon) pardonBan(b control.Ban, reason string) {
	d.clearFailures(b.Jail, b.Prefix)
	d.lift(b, reason)
}

// clearFailures forgets the attempts from p, for good: reading them again does not bring them back.
func (d *Daemon) clearFailures(name string, p netip.Prefix) {
	j := d.plan.jail(name)
	if j == nil {
		return
	}
	j.Forget(p)
	who := state.Who{Jail: name, Prefix: p}
	now := time.Now()
	past, known := d.past.clear(who, now)
	if !known {
		d.remember(who, state.Past{Cleared: now})
		return
	}
	d.pending.batch.Past[who] = past
	d.pending.urgent = true
}

// longestPause is where a pause would be better called a stop.
const longestPause = 24 * time.Hour

// Pause implements control.Writer.
func (d *Daemon) Pause(ctx context.Context, t time.Duration) error {
	if t < 0 || t > longestPause {
		return fmt.Errorf("%w: a pause of %s: at most a day", control.ErrInvalid, t)
	}
	return d.changeIn(ctx, func(life context.Context) error {
		d.paused = time.Time{}
		if t > 0 {
			d.paused = time.Now().Add(t)
		}
		d.pending.pause(d.paused)
		d.remake(life)
		return nil
	})
}

// pausing reports whether no ban is in force, and nobody is banned.
func (d *Daemon) pausing() bool { return time.Now().Before(d.paused) }

// endPause has the bans in force again when the time of a pause is over.
func (d *Daemon) endPause(ctx context.Context) {
	if d.paused.IsZero() || d.pausing() {
		return
	}
	d.paused = time.Time{}
	d.remake(ctx)
}

// remake has the kernel hold what is wanted of it now, which is another thing than before.
func (d *Daemon) remake(ctx context.Context) {
	d.kernel.filled = false // nobody has changed what is ours
	d.reconcile(ctx)
}

// ResetStatistics implements control.Writer.
func (d *Daemon) ResetStatistics(ctx context.Context) error {
	return d.ask(ctx, func(context.Context) {
		d.stats = stats{lastEntry: d.stats.lastEntry, lag: d.stats.lag}
		for _, j := range d.plan.Jails {
			j.counters = counters{before: j.Counters().Attempts}
		}
	})
}

// ResetFirewall implements control.Writer.
func (d *Daemon) ResetFirewall(ctx context.Context) error {
	var failed error
	asked := d.ask(ctx, func(life context.Context) {
		failed = d.plan.Backend.Destroy(life)
		d.connected = connected{stale: true}
		d.kernel.filled = false
		d.reconcile(life)
		if failed == nil && !d.kernel.retry.IsZero() {
			failed = control.ErrBackend
		}
	})
	return errors.Join(asked, failed)
}

// Reconcile compares the kernel with what is wanted, now.
func (d *Daemon) Reconcile(ctx context.Context) error {
	return d.ask(ctx, d.reconcile)
}

// Reload implements control.Writer. The new plan reads the log again from as far back as its counters reach, as a
// restart would; the kernel is not touched but where bans or backends differ.
func (d *Daemon) Reload(ctx context.Context) error {
	var failed error
	asked := d.ask(ctx, func(life context.Context) { failed = d.reload(life) })
	return errors.Join(asked, failed)
}

// reload puts the files in force. That ends a trial, and confirms what it did.
func (d *Daemon) reload(ctx context.Context) error {
	next, err := d.newPlan(ctx, "")
	if err != nil {
		return err
	}
	return d.exchange(ctx, next, func() { d.setTrial(control.Trial{}) })
}

// newPlan reads the configuration, and counts it when it is bad.
func (d *Daemon) newPlan(ctx context.Context, trial string) (*Plan, error) {
	next, err := d.cfg.Plan(ctx, trial)
	if err != nil {
		d.stats.reloadFailures++
		return nil, fmt.Errorf("%w: %w", control.ErrConfig, err)
	}
	return next, nil
}

// exchange goes over to another plan. also is called when the sources stand still and the new plan knows its bans.
func (d *Daemon) exchange(ctx context.Context, next *Plan, also func()) error {
	d.stop()
	d.memorized = time.Time{}
	memories, marks := d.memorize(time.Now()), d.marks()
	old := d.plan
	d.plan = next
	d.bans.bound(next.MaxBans)
	d.plan.recount(old.repeats())
	d.remind(memories, d.reports.last)
	d.goRound("", d.checkOrphan, func() {})
	d.goRound("", d.checkFriend, func() {})
	d.regroup()
	also()
	for _, r := range d.sources {
		r.caughtUp = false // the new jails know nobody yet
	}
	err := d.refill(ctx, old)
	d.launch(ctx, marks)
	d.announce(control.Event{Kind: control.Reloaded, Time: time.Now()})
	return err
}

// checkOrphan lifts a ban of a jail that the plan does not have. A ban by hand stays where no jail is enabled, or was.
func (d *Daemon) checkOrphan(e *entry) {
	if d.plan.jail(e.jail) != nil {
		return
	}
	b := e.ban()
	d.lift(b, "reload")
	j := d.plan.Jails[0]
	if b.Origin == control.OriginManual && (b.Jail == jail.ByHand || j.Info.Name == jail.ByHand) {
		b.Jail = j.Info.Name
		d.impose(j, b)
	}
}

// refill fills the new backend before what the old one left is swept away, so that no gate stands open meanwhile.
func (d *Daemon) refill(ctx context.Context, old *Plan) error {
	if d.plan.Backend == old.Backend {
		d.connected.stale = true
		d.kernel.filled = false
		d.reconcile(ctx)
		return nil
	}
	d.kernel = keeper{}
	err := old.Backend.Close() // leaves the bans in place
	d.handOver(ctx)
	d.reconcile(ctx)
	return err
}
