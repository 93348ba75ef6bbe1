package daemon

import (
	"context"
	"fmt"
	"time"

	"exile/internal/control"
)

// A configuration on trial is in force in place of the main file, which nobody touches until it is confirmed. So whatever
// happens to the daemon or to whoever tries, what comes afterwards is the file.

const (
	// longestTrial is where a trial would be better called a configuration.
	longestTrial = 24 * time.Hour
	// retryTrial is when a trial that could not be ended, because the files are bad by now, is to be ended again.
	retryTrial = time.Minute
	// maxTrial is the most that a main file holds.
	maxTrial = 1 << 20
)

// Try implements control.Configurer.
func (d *Daemon) Try(ctx context.Context, text string, t time.Duration) error {
	switch {
	case text == "" || len(text) > maxTrial:
		return fmt.Errorf("%w: a configuration of %d bytes", control.ErrInvalid, len(text))
	case t <= 0 || t > longestTrial:
		return fmt.Errorf("%w: a trial of %s: at most a day", control.ErrInvalid, t)
	}
	return d.changeIn(ctx, func(life context.Context) error {
		next, err := d.newPlan(life, text)
		if err != nil {
			return err
		}
		trial := control.Trial{Text: text, Since: d.trial.Since, Until: time.Now().Add(t)}
		if d.trial.Text == "" { // else taking it back takes back the trial before it, too
			trial.Since = time.Now()
		}
		return d.exchange(life, next, func() { d.setTrial(trial) })
	})
}

// Trial implements control.Configurer.
func (d *Daemon) Trial(ctx context.Context) (t control.Trial, err error) {
	err = d.ask(ctx, func(context.Context) {
		t = d.trial
		t.File = d.plan.File
	})
	return t, err
}

// setTrial notes what is on trial; without a text: nothing.
func (d *Daemon) setTrial(t control.Trial) {
	if t.Text == "" && d.trial.Text == "" {
		return
	}
	d.trial = t
	d.pending.try(t)
	d.recovered(reasonTrial)
}

// firstPlan is that of the trial that was under way, if it still is and its text still works. Where that has ended, the
// daemon begins with the files.
func (d *Daemon) firstPlan(ctx context.Context, t control.Trial) (*Plan, error) {
	left := time.Until(t.Until)
	if t.Text == "" || left <= 0 || left > longestTrial { // longer: the clock was put back
		return d.cfg.Plan(ctx, "")
	}
	plan, err := d.cfg.Plan(ctx, t.Text)
	if err != nil {
		d.log.Warn("The configuration on trial does not work any more and is taken back", "error", err)
		return d.cfg.Plan(ctx, "")
	}
	t.Until = time.Now().Add(left) // by the clock that nobody puts back
	d.trial = t
	return plan, nil
}

// endTrial takes a configuration back that was not confirmed in time.
func (d *Daemon) endTrial(ctx context.Context) {
	if d.trial.Text == "" || time.Now().Before(d.trial.Until) {
		return
	}
	next, err := d.newPlan(ctx, "")
	if err != nil {
		d.trial.Until = time.Now().Add(retryTrial)
		d.degrade(reasonTrial, time.Time{}, err)
		return
	}
	d.log.Warn("Nobody confirmed the configuration on trial: it is taken back")
	if err := d.exchange(ctx, next, func() { d.takeBack(d.trial) }); err != nil {
		d.log.Warn("Failed to leave the backend of the configuration on trial", "error", err)
	}
}

// takeBack ends a trial and lifts the bans that it made: one of them may be that of whoever could not confirm it. A ban by
// hand was made knowingly, and stays.
func (d *Daemon) takeBack(t control.Trial) {
	var since []control.Ban
	d.bans.every("", func(b control.Ban) {
		if b.Origin != control.OriginManual && !b.Since.Before(t.Since) {
			since = append(since, b)
		}
	})
	for _, b := range since {
		d.lift(b, "reload")
		d.clearFailures(b.Jail, b.Prefix)
		past := d.past.get(whoOf(b))
		past.Offences = max(past.Offences-1, 0)
		d.remember(whoOf(b), past)
	}
	d.trial = control.Trial{}
	d.pending.try(d.trial)
	d.recovered(reasonTrial)
}
