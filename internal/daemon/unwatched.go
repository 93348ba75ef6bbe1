package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/jail"
	"exile/journal"
)

// reasonUnwatched is a reason for being degraded: a service of the kind that a jail watches is not watched. Its unit follows.
const reasonUnwatched = "unwatched:"

const (
	// maxUnwatched limits how many units are named at once.
	maxUnwatched = 8
	// unwatchedStays is how long a line of such a service keeps the reason.
	unwatchedStays = 24 * time.Hour
)

// checkElsewhere checks whether a line that no jail took comes from a service that should be watched.
func (d *Daemon) checkElsewhere(r *running, e *journal.Entry) {
	until := e.Time.Add(unwatchedStays)
	for _, j := range r.Jails {
		if j.Unwatched == nil {
			continue
		}
		unit := j.Unwatched(e)
		if unit == "" || !until.After(time.Now()) {
			continue
		}
		if last, known := d.health.reasons[reasonUnwatched+unit]; known && (last.until.IsZero() || until.Sub(last.until) < time.Minute) {
			return // known already
		}
		d.unwatched(j, control.Program{Unit: unit}, until)
		return
	}
}

// pollOthers asks which services of the kind that jails watch are running, and has the loop check which of them no jail watches.
func (d *Daemon) pollOthers(ctx context.Context) error {
	if d.plan.Services == nil {
		return nil
	}
	programs, err := d.plan.Services(ctx)
	if err != nil {
		d.cfg.Log.Debug("Cannot tell whether a service runs that no jail watches", "reason", err)
		return nil
	}
	return d.ask(ctx, func(context.Context) { d.checkOthers(programs) })
}

func (d *Daemon) checkOthers(programs []control.Program) {
	kind := slices.IndexFunc(d.plan.Jails, func(j *Jail) bool { return j.Talks })
	running := make(map[string]bool)
	for _, p := range programs {
		p.Unit = jail.Template(p.Unit)
		if kind >= 0 && !d.plan.watches(p.Unit) {
			running[p.Unit] = true
			d.unwatched(d.plan.Jails[kind], p, time.Time{})
		}
	}
	d.health.recoverIf(func(reason string, t trouble) bool {
		unit, ok := strings.CutPrefix(reason, reasonUnwatched)
		return ok && t.until.IsZero() && !running[unit]
	})
}

// unwatched degrades the daemon because of a service, until then; zero: until the service has ended.
func (d *Daemon) unwatched(j *Jail, p control.Program, until time.Time) {
	reason := reasonUnwatched + p.Unit
	if !d.health.room(reason, reasonUnwatched, maxUnwatched) {
		return
	}
	units := strings.Join(append(slices.Clone(j.Info.Units), p.Unit), ", ")
	remedy := fmt.Sprintf("%s logs like a service of jail %s, and no jail watches it, so nobody is banned for guessing there: write "+
		"jails: {%s: {units: [%s]}} to /etc/exile/exile.yaml.d/units.yaml, then systemctl reload exiled.", p.Unit, j.Info.Name, j.Info.Name, units)
	if p.Namespace != "" {
		remedy += " " + namespaceRemedy(p.Unit, p.Namespace)
	}
	d.health.degradeWith(reason, remedy, until, nil)
}

// namespaceRemedy says what becomes of a service that logs into a namespace that is not read yet.
func namespaceRemedy(unit, namespace string) string {
	return fmt.Sprintf("It logs into the journal namespace %q, which exiled reads a minute after a jail watches the unit and %s runs; if it does not, "+
		"see journalctl -u exiled.", namespace, unit)
}

// watches reports whether a jail watches that unit.
func (p *Plan) watches(unit string) bool {
	return slices.ContainsFunc(p.Jails, func(j *Jail) bool { return jail.Watches(j.Info.Units, unit) })
}
