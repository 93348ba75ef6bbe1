package daemon

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"exile/journal"
)

// What is wrong with the logs: missing entries, lines without a time, and sources that cannot be read.

// gap notes entries that are lost.
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
	d.cfg.Log.Warn("Log entries are missing", "kind", g.Kind, "entries", g.Entries, "file", g.File, "unit", g.Unit,
		"since", g.Since, "until", g.Until, "error", g.Err)
	if !errors.Is(g.Err, fs.ErrPermission) { // these are reported by the source, as long as they last
		d.health.degrade(reason, time.Now().Add(transient), g.Err)
	}
}

// undated counts lines whose time cannot be read, and logs the first.
func (d *Daemon) undated(r *running, n int) {
	if n > 0 && !r.undated {
		r.undated = true
		d.cfg.Log.Warn("Lines have no readable time; they count as of the time of the line before", "source", r.Name)
	}
	d.stats.undated += uint64(n)
}

// lookInstead notes whether the source has to be read in a slower way.
func (d *Daemon) lookInstead(r *running) {
	if r.Instead == nil {
		return
	}
	if err := r.Instead(); err != nil {
		d.health.degrade(reasonFormat, time.Time{}, err)
	} else {
		d.health.recovered(reasonFormat)
	}
}

func (d *Daemon) sourceFailed(f failure) { d.standing(f.from, f.err) }

// standing notes why a source cannot read everything, and degrades the daemon as long as there is such a source. The error says what helps.
func (d *Daemon) standing(r *running, trouble error) {
	r.trouble = trouble
	all := d.sources.troubles(d.plan.Sources)
	if len(all) == 0 {
		d.health.recovered(reasonSource)
		return
	}
	d.health.degradeWith(reasonSource, "A log cannot be read, and is tried again. "+strings.Join(all, "; "), time.Time{}, trouble)
}
