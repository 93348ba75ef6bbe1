package daemon

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// What other daemons report is in no log that could be read again. So a report is kept as long as it may have to be counted again: until it is in
// the memory of its jail, or too old.

const (
	// keepReports is how many of the newest reports are kept.
	keepReports = 10_000
	// maxUser is how many bytes of a user name are kept; no account has a longer name.
	maxUser = 64
)

// reports are the reports that are kept, by a number that only rises.
type reports struct {
	kept        map[uint64]state.Report
	first, last uint64 // none is below or above
}

// Report implements control.Writer.
func (d *Daemon) Report(ctx context.Context, r control.Report) error {
	return d.change(ctx, func() error {
		if err := d.known(r.Jail); err != nil {
			return err
		}
		if len(d.plan.Jails) == 0 {
			return control.NoSuchJail(r.Jail, nil)
		}
		j := d.plan.guarding(r.Port)
		if r.Jail != "" {
			j = d.plan.jail(r.Jail)
		}
		d.takeReport(j, state.Report{
			Time: time.Now(), Jail: j.Info.Name, Addr: r.Addr.Unmap().WithZone(""), User: r.User, Success: r.Success,
		})
		return nil
	})
}

// takeReport acts on a report and keeps it.
func (d *Daemon) takeReport(j *Jail, r state.Report) {
	j.rereads = false
	decisions := j.ObserveAttempt(attemptOf(r))
	d.countAttempts(j, r.Time, false)
	if r.Success {
		d.countDeniedLogin(j, r.Addr, r.Time)
	}
	for _, dec := range decisions {
		d.decide(j, dec, control.OriginReport)
	}
	r.User = strings.Clone(r.User[:min(len(r.User), maxUser)])
	d.ledger.keepReport(r, func(old state.Report) bool { return d.needed(old, r.Time) })
}

func attemptOf(r state.Report) jail.Attempt {
	a := jail.Attempt{Time: r.Time, Addr: r.Addr, User: r.User, Success: r.Success, Rule: "report"}
	if !r.Success {
		a.Guesses = 1
	}
	return a
}

// restore takes over the reports that were on disk.
func (r *reports) restore(kept map[uint64]state.Report) {
	r.kept = kept
	if len(kept) > 0 {
		numbers := r.numbers()
		r.first, r.last = numbers[0], numbers[len(numbers)-1]
	}
}

// numbers returns the numbers of the reports, in order.
func (r *reports) numbers() []uint64 { return slices.Sorted(maps.Keys(r.kept)) }

// add keeps a report and returns its number.
func (r *reports) add(report state.Report) uint64 {
	r.last++
	r.kept[r.last] = report
	return r.last
}

// trim drops the oldest reports that are too many or not needed, and returns their numbers.
func (r *reports) trim(needed func(state.Report) bool) (dropped []uint64) {
	for ; r.first <= r.last; r.first++ {
		report, ok := r.kept[r.first]
		if ok && len(r.kept) <= keepReports && needed(report) {
			break
		}
		if ok {
			delete(r.kept, r.first)
			dropped = append(dropped, r.first)
		}
	}
	return dropped
}

// settle drops the reports that are in the snapshots, and returns their numbers.
func (r *reports) settle(snapshots map[string]state.Snapshot) (dropped []uint64) {
	if len(snapshots) == 0 { // nearly always: a batch is written for every ban, a snapshot now and then
		return nil
	}
	for n, report := range r.kept {
		if _, ok := snapshots[report.Jail]; ok {
			delete(r.kept, n)
			dropped = append(dropped, n)
		}
	}
	return dropped
}

// needed reports whether a jail may have to count a report again.
func (d *Daemon) needed(r state.Report, now time.Time) bool {
	j := d.plan.jail(r.Jail)
	return j != nil && now.Sub(r.Time) <= j.LookBack
}

// unmemorized returns the reports that a jail which starts over has to count again, in order.
func (d *Daemon) unmemorized(j *Jail) []state.Report {
	var again []state.Report
	for _, n := range d.ledger.reports.numbers() {
		r := d.ledger.reports.kept[n]
		p := j.Unit(r.Addr)
		if r.Jail != j.Info.Name || n <= j.heard || !p.IsValid() {
			continue
		}
		if r.Time.After(j.settled(d.ledger.past.get(state.Who{Jail: r.Jail, Prefix: p}))) {
			again = append(again, r)
		}
	}
	return again
}

// recount shows a jail again what was reported up to a time, once its log has been read again up to there. Its decisions were carried out
// before.
func (d *Daemon) recount(j *Jail, until time.Time) {
	for len(j.again) > 0 && !j.again[0].Time.After(until) {
		j.rereads = true
		j.ObserveAttempt(attemptOf(j.again[0]))
		d.countAttempts(j, until, true)
		j.again = j.again[1:]
	}
}

// recountAll shows the jails of a source the rest, once their log has been read.
func (d *Daemon) recountAll(r *running) {
	for _, j := range r.Jails {
		for _, report := range j.again {
			d.recount(j, report.Time)
		}
	}
}

// excludeReports removes from an export the reports that the memories in it hold.
func excludeReports(c state.Contents) {
	maps.DeleteFunc(c.Reports, func(_ uint64, r state.Report) bool { _, ok := c.Snapshots[r.Jail]; return ok })
}
