package daemon

import (
	"context"
	"time"

	"exile/internal/control"
)

// A configuration on trial is in force in place of the main file, which stays as it is until the trial is confirmed. So whatever happens to
// the daemon or to the one who tries, the file is what counts afterwards.

// retryTrial is how long to wait when a trial cannot be ended because the files are bad.
const retryTrial = time.Minute

// trial is the configuration on trial.
type trial struct {
	running control.Trial // without a text there is none
}

// on reports whether a configuration is on trial.
func (t *trial) on() bool { return t.running.Text != "" }

// overdue reports whether the trial was not confirmed in time.
func (t *trial) overdue(now time.Time) bool { return t.on() && !now.Before(t.running.Until) }

// next returns the trial of that text from now on. If it replaces another trial, taking it back takes back both.
func (t *trial) next(text string, length time.Duration) control.Trial {
	now := time.Now()
	next := control.Trial{Text: text, Since: t.running.Since, Until: now.Add(length)}
	if !t.on() {
		next.Since = now
	}
	return next
}

// putOff moves the end of a trial that could not be ended.
func (t *trial) putOff(by time.Duration) { t.running.Until = time.Now().Add(by) }

// set sets what is on trial; without a text that is nothing.
func (t *trial) set(next control.Trial) { t.running = next }

// Try implements control.Configurer.
func (d *Daemon) Try(ctx context.Context, text string, t time.Duration) error {
	return d.changeIn(ctx, func(life context.Context) error {
		next, err := d.newPlan(life, text)
		if err != nil {
			return err
		}
		trial := d.trial.next(text, t)
		return d.exchange(life, next, func() { d.setTrial(trial) })
	})
}

// Trial implements control.Configurer.
func (d *Daemon) Trial(ctx context.Context) (t control.Trial, err error) {
	err = d.ask(ctx, func(context.Context) {
		t = d.trial.running
		t.File = d.plan.File
	})
	return t, err
}

// setTrial sets what is on trial; without a text that is nothing.
func (d *Daemon) setTrial(t control.Trial) {
	if t.Text == "" && !d.trial.on() {
		return
	}
	d.trial.set(t)
	d.ledger.try(t)
	d.health.recovered(reasonTrial)
}

// firstPlan returns the plan of the trial that was under way, if it has not ended and its text still works; otherwise that of the files.
func (d *Daemon) firstPlan(ctx context.Context, t control.Trial) (*Plan, error) {
	left := time.Until(t.Until)
	if t.Text == "" || left <= 0 || left > control.LongestTrial { // longer: the clock was set back
		return d.filesPlan(ctx)
	}
	plan, err := d.cfg.Plan(ctx, t.Text)
	if err != nil {
		d.cfg.Log.Warn("The configuration on trial no longer works and is taken back", "error", err)
		return d.filesPlan(ctx)
	}
	t.Until = time.Now().Add(left) // with the monotonic clock
	d.trial.set(t)
	return plan, nil
}

// endTrial takes back a configuration that was not confirmed in time.
func (d *Daemon) endTrial(ctx context.Context) {
	if !d.trial.overdue(time.Now()) {
		return
	}
	next, err := d.newPlan(ctx, "")
	if err != nil {
		d.trial.putOff(retryTrial)
		d.health.degrade(reasonTrial, time.Time{}, err)
		return
	}
	d.cfg.Log.Warn("Nobody confirmed the configuration on trial: it is taken back")
	if err := d.exchange(ctx, next, func() { d.takeBack(d.trial.running); d.filesGood() }); err != nil {
		d.cfg.Log.Warn("Failed to close the backend of the configuration on trial", "error", err)
	}
}

// takeBack ends a trial and lifts the bans that it made: one of them may be the reason why it was not confirmed. A ban by hand was made
// deliberately and stays.
func (d *Daemon) takeBack(t control.Trial) {
	var since []control.Ban
	d.ledger.bans.every("", func(b control.Ban) {
		if b.Origin != control.OriginManual && !b.Since.Before(t.Since) {
			since = append(since, b)
		}
	})
	for _, b := range since {
		d.lift(b, "reload")
		d.clearFailures(b.Jail, b.Prefix)
		past := d.ledger.past.get(whoOf(b))
		past.Offences = max(past.Offences-1, 0)
		d.ledger.remember(whoOf(b), past)
	}
	d.trial.set(control.Trial{})
	d.ledger.try(control.Trial{})
	d.health.recovered(reasonTrial)
}
