package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// What other daemons report is in no log that could be read again. It is kept for as long as it may have to be counted
// again: until it is in the memory of its jail, or too old.

const (
	// keepReports is how many are kept at most, the youngest.
	keepReports = 10_000
	// maxUser is how much of a user name is kept, bytes; no account has a longer one.
	maxUser = 64
)

// reports are those that are kept, by number, which only rises.
type reports struct {
	kept        map[uint64]state.Report
	first, last uint64 // none is below or above
}

// Report implements control.Writer.
func (d *Daemon) Report(ctx context.Context, r control.Report) error {
	if !r.Addr.IsValid() {
		return fmt.Errorf("%w: no address", control.ErrInvalid)
	}
	return d.change(ctx, func() error {
		if err := d.known(r.Jail); err != nil {
			return err
		}
		j := d.plan.Jails[0]
		if r.Jail != "" {
			j = d.plan.jail(r.Jail)
		}
		d.hear(j, state.Report{
			Time: time.Now(), Jail: j.Info.Name, Addr: r.Addr.Unmap().WithZone(""), User: r.User, Success: r.Success,
		})
		return nil
	})
}

// hear acts upon a report, and keeps it.
func (d *Daemon) hear(j *Jail, r state.Report) {
	decisions := j.ObserveAttempt(attemptOf(r))
	d.pass(j, r.Time, false)
	if r.Success {
		d.welcome(j, r.Addr, r.Time)
	}
	for _, dec := range decisions {
		d.decide(j, dec, control.OriginReport)
	}
	r.User = strings.Clone(r.User[:min(len(r.User), maxUser)])
	d.reports.last++
	d.reports.kept[d.reports.last] = r
	d.pending.batch.Reports[d.reports.last] = r
	d.trimReports(r.Time)
}

func attemptOf(r state.Report) jail.Attempt {
	a := jail.Attempt{Time: r.Time, Addr: r.Addr, User: r.User, Success: r.Success, Rule: "report"}
	if !r.Success {
		a.Guesses = 1
	}
	return a
}

// restoreReports takes over what was kept.
func (d *Daemon) restoreReports(kept map[uint64]state.Report) {
	d.reports.kept = kept
	if len(kept) > 0 {
		numbers := slices.Sorted(maps.Keys(kept))
		d.reports.first, d.reports.last = numbers[0], numbers[len(numbers)-1]
	}
}

// trimReports drops the oldest until one comes that a jail needs, and is not too many.
func (d *Daemon) trimReports(now time.Time) {
	for all := &d.reports; all.first <= all.last; all.first++ {
		r, ok := all.kept[all.first]
		if ok && len(all.kept) <= keepReports && d.needed(r, now) {
			return
		}
		if ok {
			d.dropReport(d.pending.batch, all.first)
		}
	}
}

func (d *Daemon) needed(r state.Report, now time.Time) bool {
	j := d.plan.jail(r.Jail)
	return j != nil && now.Sub(r.Time) <= j.LookBack
}

func (d *Daemon) dropReport(b state.Batch, n uint64) {
	delete(d.reports.kept, n)
	b.Reports[n] = state.Report{}
}

// settleReports drops, with the batch that has the snapshots, what is in these.
func (d *Daemon) settleReports(b state.Batch) {
	if len(b.Snapshots) == 0 { // nearly always: a batch is written for every ban, a snapshot now and then
		return
	}
	for n, r := range d.reports.kept {
		if _, ok := b.Snapshots[r.Jail]; ok {
			d.dropReport(b, n)
		}
	}
}

// unheard are the reports that a jail which begins anew has to count again, in order.
func (d *Daemon) unheard(j *Jail) []state.Report {
	var again []state.Report
	for _, n := range slices.Sorted(maps.Keys(d.reports.kept)) {
		r := d.reports.kept[n]
		p := j.Unit(r.Addr)
		if r.Jail != j.Info.Name || n <= j.heard || !p.IsValid() {
			continue
		}
		if r.Time.After(j.settled(d.past.get(state.Who{Jail: r.Jail, Prefix: p}))) {
			again = append(again, r)
		}
	}
	return again
}

// recount shows a jail again what was reported up to a time, when its log has been read again up to there. Decisions have
// been carried out.
func (d *Daemon) recount(j *Jail, until time.Time) {
	for len(j.again) > 0 && !j.again[0].Time.After(until) {
		j.ObserveAttempt(attemptOf(j.again[0]))
		d.pass(j, until, true)
		j.again = j.again[1:]
	}
}

// recountAll shows the jails of a source what is left, when their log has been read.
func (d *Daemon) recountAll(r *running) {
	for _, j := range r.Jails {
		for _, report := range j.again {
			d.recount(j, report.Time)
		}
	}
}

// excludeReports takes from what is exported what the memories in it hold.
func excludeReports(c state.Contents) {
	maps.DeleteFunc(c.Reports, func(_ uint64, r state.Report) bool { _, ok := c.Snapshots[r.Jail]; return ok })
}
