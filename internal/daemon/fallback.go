package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"exile/firewall"
	"exile/internal/human"
)

// A mistake in the configuration must not open the gate. A daemon that is started with files that it cannot use runs with a fallback,
// says so as long as it does, and switches to the files as soon as they are good.

// tryFiles is how often files that could not be used are tried again.
const tryFiles = 10 * time.Second

// fallback is the configuration that is in force in place of the files.
type fallback struct {
	which string    // for people; empty: the files are in force
	retry time.Time // when the files are to be tried again; zero: they are in force
}

// putOff has the files tried again later.
func (f *fallback) putOff() { f.retry = time.Now().Add(tryFiles) }

// due reports whether the files are to be tried again.
func (f *fallback) due(now time.Time) bool { return !f.retry.IsZero() && !now.Before(f.retry) }

// end notes that the files are in force.
func (f *fallback) end() { *f = fallback{} }

// filesPlan returns the plan of the files at the start, or else the fallback.
func (d *Daemon) filesPlan(ctx context.Context) (*Plan, error) {
	plan, err := d.cfg.Plan(ctx, "")
	if err == nil || d.cfg.Fallback == nil || ctx.Err() != nil || errors.Is(err, firewall.ErrHeld) { // another configuration would not help
		return plan, err
	}
	plan, which, failed := d.cfg.Fallback(ctx)
	if plan == nil {
		return nil, errors.Join(err, failed)
	}
	d.fallback.which = which
	d.filesBad(err)
	return plan, nil
}

// filesBad notes why the files cannot be used.
func (d *Daemon) filesBad(err error) {
	d.fallback.putOff()
	remedy := fmt.Sprintf("The configuration cannot be used: %s; in force is %s. Correct the mistake (exilectl "+
		"check-config shows whether it is); the files are then in force within %s.", brief(err), d.fallback.which, human.Span(tryFiles))
	if d.health.has(reasonConfig) && d.health.reasons[reasonConfig].remedy != remedy {
		d.cfg.Log.Warn("The configuration still cannot be used", "error", err)
	}
	d.health.degradeWith(reasonConfig, remedy, time.Time{}, err)
}

// filesGood notes that the files are in force.
func (d *Daemon) filesGood() {
	d.fallback.end()
	d.health.recovered(reasonConfig)
}

// retryFiles switches to the files if they are good now. A trial is not disturbed: its end reads the files anyway.
func (d *Daemon) retryFiles(ctx context.Context) {
	if !d.fallback.due(time.Now()) {
		return
	}
	if d.trial.on() {
		d.fallback.putOff()
		return
	}
	next, err := d.cfg.Plan(ctx, "")
	if err != nil {
		d.filesBad(err)
		return
	}
	d.cfg.Log.Info("The configuration can be used again")
	if err := d.exchange(ctx, next, d.filesGood); err != nil {
		d.cfg.Log.Warn("Failed to close the previous backend", "error", err)
	}
}

// maxMistakes is how many mistakes a remedy names; check-config names all.
const maxMistakes = 3

// brief returns an error on one line.
func brief(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if more := len(lines) - maxMistakes; more > 0 {
		lines = append(slices.Clip(lines[:maxMistakes]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
