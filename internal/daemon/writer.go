package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"exile/internal/banning"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// change runs f in the loop, and returns when what it did is in the kernel, on disk and announced.
func (d *Daemon) change(ctx context.Context, f func() error) error {
	return d.changeIn(ctx, func(context.Context) error { return f() })
}

// changeIn is change for an f that needs the context of the loop.
func (d *Daemon) changeIn(ctx context.Context, f func(life context.Context) error) error {
	return d.await(ctx, func(life context.Context, done func()) error {
		err := f(life)
		if err == nil {
			done()
		}
		return err
	})
}

// await runs f in the loop, and waits until everything that changed before done was called, now or in a later turn, is on disk and
// announced.
func (d *Daemon) await(ctx context.Context, f func(life context.Context, done func()) error) error {
	stored := make(chan error, 1)
	asked := d.ask(ctx, func(life context.Context) {
		err := f(life, func() { d.ledger.whenStored(func() { stored <- nil }) })
		if err != nil {
			stored <- err
		}
	})
	if asked != nil {
		return asked
	}
	return d.wait(ctx, stored)
}

// Ban implements control.Writer.
func (d *Daemon) Ban(ctx context.Context, r control.BanRequest) (b control.Ban, err error) {
	err = d.change(ctx, func() (err error) {
		b, err = d.banByHand(r)
		b = d.asShown(b)
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

// banByHand makes a ban. It does not shorten one that lasts longer.
func (d *Daemon) banByHand(r control.BanRequest) (control.Ban, error) {
	if err := d.known(r.Jail); err != nil {
		return control.Ban{}, err
	}
	j := d.plan.Jails[0]
	if r.Jail != "" {
		j = d.plan.jail(r.Jail)
	}
	p := r.Prefix.Masked()
	why, ok := d.rules().Protects(&j.Jail, p, time.Now())
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
	stands, ok := d.ledger.bans.get(b.Jail, p)
	if ok && banning.Longer(stands.Until, b.Until).Equal(stands.Until) && stands.Origin != control.OriginGroup {
		return stands, nil
	}
	d.addBan(j, b)
	return b, nil
}

// Remember implements control.Writer.
func (d *Daemon) Remember(ctx context.Context, offenders []control.Offender) ([]error, error) {
	errs := make([]error, len(offenders))
	err := d.change(ctx, func() error {
		for i, o := range offenders {
			errs[i] = d.rememberOffender(o)
		}
		return nil
	})
	return errs, err
}

// rememberOffender takes over a past. An address is known by what its jail counts as one, and the attempts up to its last ban have had their
// answer. A time in the future only means that a clock was set back.
func (d *Daemon) rememberOffender(o control.Offender) error {
	if err := d.known(o.Jail); err != nil {
		return err
	}
	j := d.plan.Jails[0]
	if o.Jail != "" {
		j = d.plan.jail(o.Jail)
	}
	p := o.Prefix.Masked()
	if p.IsSingleIP() {
		p = j.Unit(p.Addr())
	}
	who := state.Who{Jail: j.Info.Name, Prefix: p}
	past := d.ledger.past.get(who)
	if now := time.Now(); o.Last.After(now) {
		o.Last = now
	}
	past.Offences = max(past.Offences, o.Offences)
	if o.Last.After(past.Last) {
		past.Last = o.Last
	}
	if o.Last.After(past.Cleared) {
		past.Cleared = o.Last
	}
	d.ledger.remember(who, past)
	return nil
}

// BanTime returns how long a ban by hand lasts.
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

// pardonBan forgets the failures behind a ban and lifts it. In this order the past moves only once.
func (d *Daemon) pardonBan(b control.Ban, reason string) {
	d.clearFailures(b.Jail, b.Prefix)
	d.lift(b, reason)
}

// clearFailures forgets the attempts from p for good: reading them again does not bring them back.
func (d *Daemon) clearFailures(name string, p netip.Prefix) {
	j := d.plan.jail(name)
	if j == nil {
		return
	}
	j.Forget(p)
	d.ledger.pardon(state.Who{Jail: name, Prefix: p})
}

// Pause implements control.Writer.
func (d *Daemon) Pause(ctx context.Context, t time.Duration) error {
	return d.change(ctx, func() error {
		d.kernel.pause(t)
		d.ledger.pause(d.kernel.paused)
		return nil
	})
}

// ResetStatistics implements control.Writer.
func (d *Daemon) ResetStatistics(ctx context.Context) error {
	return d.ask(ctx, func(context.Context) {
		d.stats.reset()
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
		d.sparer.reset()
		d.kernel.remake()
		d.reconcile(life)
		if failed == nil && d.kernel.failing() {
			failed = control.ErrBackend
		}
	})
	return errors.Join(asked, failed)
}

// Reconcile compares the kernel with what is wanted, now.
func (d *Daemon) Reconcile(ctx context.Context) error {
	return d.ask(ctx, d.reconcile)
}

// Reload implements control.Writer. The new plan reads the log again from as far back as its counters reach, as a restart would; the kernel
// only changes where bans or backends differ.
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
	return d.exchange(ctx, next, func() { d.setTrial(control.Trial{}); d.filesGood() })
}

// newPlan reads the configuration, and counts failures.
func (d *Daemon) newPlan(ctx context.Context, trial string) (*Plan, error) {
	next, err := d.cfg.Plan(ctx, trial)
	if err != nil {
		d.stats.reloadFailures++
		return nil, fmt.Errorf("%w: %w", control.ErrConfig, err)
	}
	return next, nil
}

// exchange switches to another plan. also is called while the sources stand still, when the new plan knows its bans.
func (d *Daemon) exchange(ctx context.Context, next *Plan, also func()) error {
	d.sources.stop()
	d.ledger.memorizeSoon()
	memories, marks := d.memorize(time.Now()), d.sources.marks()
	old := d.plan
	d.plan = next
	d.ledger.bound(next.MaxBans, next.PurgeAge)
	d.plan.recount(old.repeats())
	d.remind(memories, d.ledger.reports.last)
	d.goRound(d.orphaned(old.Shelter), func() {})
	d.goRound(d.checkFriend, func() {})
	d.regroup()
	also()
	d.sources.readAgain() // the new jails know nobody yet
	err := d.refill(ctx, old)
	d.launch(ctx, marks)
	d.announce(control.Event{Kind: control.Reloaded, Time: time.Now()})
	return err
}

// orphaned returns a function that lifts a ban if the plan does not have its jail. The ban moves to the first jail if the previous plan was the
// fallback for bad files (sheltered), or if it is a ban by hand and no jail is or was enabled.
func (d *Daemon) orphaned(sheltered bool) func(e *entry) {
	return func(e *entry) {
		if d.plan.jail(e.jail) != nil {
			return
		}
		b := e.ban()
		d.lift(b, "reload")
		j := d.plan.Jails[0]
		if sheltered || b.Origin == control.OriginManual && (b.Jail == jail.ByHand || j.Info.Name == jail.ByHand) {
			b.Jail = j.Info.Name
			d.addBan(j, b)
		}
	}
}

// refill fills the new backend before what the old one left is removed, so that no gate is open in between.
func (d *Daemon) refill(ctx context.Context, old *Plan) error {
	if d.plan.Backend == old.Backend {
		d.sparer.changed()
		d.kernel.remake()
		d.reconcile(ctx)
		return nil
	}
	d.kernel.exchange()
	err := old.Backend.Close() // leaves the bans in place
	d.handOver(ctx)
	d.reconcile(ctx)
	return err
}
