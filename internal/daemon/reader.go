package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// errStopped is the answer to questions that come too late.
var errStopped = errors.New("exiled is stopping")

// stats count since the start, or since they were reset.
type stats struct {
	entries, bans, unbans, protected, repairs, gaps uint64
	suppressed, skipped, evicted, undated           uint64
	kernelErrors, diskErrors, reloadFailures        uint64
	lastEntry, lastRepair                           time.Time
	lag                                             time.Duration
	dropped                                         map[string]uint64 // packets, by set
}

// ask runs f in the loop and waits for it. What f does is not to end half done when the caller goes away: f gets the
// context of the loop.
func (d *Daemon) ask(ctx context.Context, f func(life context.Context)) error {
	done := make(chan struct{})
	select {
	case d.requests <- func(life context.Context) { f(life); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closed:
		return errStopped
	}
}

// Status implements control.Reader.
func (d *Daemon) Status(ctx context.Context) (s control.Status, err error) {
	err = d.ask(ctx, func(life context.Context) {
		d.look(life)
		s = d.status()
	})
	return s, err
}

func (d *Daemon) status() control.Status {
	reasons, remedy := d.health.list()
	s := control.Status{
		Version: d.cfg.Version, State: d.state(), Degraded: reasons, Remedies: remedy,
		Backend: d.plan.Name, Why: d.plan.Why, Started: d.started, PausedTo: d.paused, TrialTo: d.trial.Until,
		Jails: len(d.plan.Jails), Banned: d.wanted(), Enforced: d.enforced(),
		Entries: d.stats.entries, Bans: d.stats.bans, Unbans: d.stats.unbans, Evicted: d.stats.evicted, Repairs: d.stats.repairs,
		Gaps: d.stats.gaps, Suppressed: d.stats.suppressed, Skipped: d.stats.skipped, Undated: d.stats.undated,
		KernelErrors: d.stats.kernelErrors, DiskErrors: d.stats.diskErrors, ReloadFailures: d.stats.reloadFailures,
		LastRepair: d.stats.lastRepair, LastEntry: d.stats.lastEntry, Lag: d.stats.lag, Position: d.position(),
		Dropped: maps.Clone(d.stats.dropped), Days: slices.Clone(d.days.list),
	}
	for _, j := range d.plan.Jails {
		s.Failing += j.Failing()
		s.Failures += j.attempts()
	}
	return s
}

func (d *Daemon) state() string {
	switch {
	case len(d.health.reasons) > 0:
		return "degraded"
	case d.pausing():
		return control.Paused
	}
	for _, r := range d.sources {
		if !r.caughtUp {
			return "catching-up"
		}
	}
	return "running"
}

// enforced is how many of the bans the kernel has: none in a pause. One that is in the kernel for several ports is one only.
func (d *Daemon) enforced() int {
	if d.pausing() {
		return 0
	}
	return max(d.wanted()-d.kernel.lacking, 0)
}

// wanted is how many bans the kernel should have: all but those of jails that simulate.
func (d *Daemon) wanted() int {
	n := d.bans.len()
	for _, j := range d.plan.Jails {
		if j.Simulate {
			n -= d.bans.count[j.Info.Name]
		}
	}
	return n
}

// position is where the journal source stands; that of a text log when there is no journal.
func (d *Daemon) position() string {
	for _, s := range d.plan.Sources {
		if r := d.sources[s.Name]; r != nil && !r.position.IsZero() {
			return r.position.String()
		}
	}
	return ""
}

// ExportState implements control.Archiver.
func (d *Daemon) ExportState(ctx context.Context, w io.Writer) error {
	var c state.Contents
	var failed error
	asked := d.ask(ctx, func(context.Context) {
		c = d.contents()
		failed = d.addMemories(c.Snapshots)
		excludeReports(c) // in the memories
	})
	if err := errors.Join(asked, failed); err != nil {
		return err
	}
	return c.Export(w) // away from the loop: it may be long
}

// addMemories adds what the detectors remember now. What is on disk of it stays as it is.
func (d *Daemon) addMemories(to map[string]state.Snapshot) error {
	for _, r := range d.sources {
		at := r.position.Time()
		if !r.caughtUp || at.IsZero() {
			continue // it remembers a part
		}
		for _, j := range r.Jails {
			if j.Memory == nil {
				continue
			}
			s, err := j.snapshot(at)
			if err != nil {
				return fmt.Errorf("export the memory of jail %q: %w", j.Info.Name, err)
			}
			to[j.Info.Name] = s
		}
	}
	return nil
}

// Jails implements control.Reader.
func (d *Daemon) Jails(ctx context.Context) (jails []control.JailStatus, err error) {
	err = d.ask(ctx, func(context.Context) {
		for _, j := range d.plan.Jails {
			jails = append(jails, d.jailStatus(j))
		}
	})
	return jails, err
}

func (d *Daemon) jailStatus(j *Jail) control.JailStatus {
	s := j.Info
	s.Banned = d.bans.count[s.Name]
	s.Failing = j.Failing()
	s.Failures = j.attempts()
	s.Total, s.LastBan, s.Origins = j.counters.bans, j.counters.lastBan, maps.Clone(j.counters.origins)
	s.Denied = j.counters.denied
	counters := j.Counters()
	s.Spared, s.Evicted, s.Lines = counters.Protected, counters.Evicted, make(map[string]uint64, len(counters.Lines))
	for kind, n := range counters.Lines {
		s.Lines[jail.Kind(kind).String()] = n
	}
	return s
}

// Bans implements control.Reader.
func (d *Daemon) Bans(ctx context.Context, p control.Page) (bans []control.Ban, next string, err error) {
	var unknown error
	var all snapshot
	err = d.ask(ctx, func(context.Context) { unknown, all = d.known(p.Jail), d.bans.snapshot() })
	if err := errors.Join(unknown, err); err != nil {
		return nil, "", err
	}
	bans, next = all.page(p) // away from the loop: a long page takes milliseconds
	return bans, next, nil
}

// known is the error for a jail that does not exist; no name is every jail.
func (d *Daemon) known(name string) error {
	if name == "" || d.plan.jail(name) != nil {
		return nil
	}
	names := make([]string, len(d.plan.Jails))
	for i, j := range d.plan.Jails {
		names[i] = j.Info.Name
	}
	return control.NoSuchJail(name, names)
}

// Hosts implements control.Reader.
func (d *Daemon) Hosts(ctx context.Context, p control.Page) (hosts []control.Host, next string, err error) {
	var unknown error
	err = d.ask(ctx, func(context.Context) {
		if unknown = d.known(p.Jail); unknown == nil {
			hosts, next = d.hosts(p)
		}
	})
	return hosts, next, errors.Join(unknown, err)
}

func (d *Daemon) hosts(p control.Page) (hosts []control.Host, next string) {
	limit := pageSize(p.Max)
	from, after := parsePageKey(p.After)
	for _, j := range d.plan.Jails {
		name := j.Info.Name
		if p.Jail != "" && p.Jail != name || name < from {
			continue
		}
		if name != from {
			after = netip.Prefix{}
		}
		for _, h := range j.Hosts(after, limit+1-len(hosts)) {
			if len(hosts) == limit {
				last := hosts[limit-1]
				return hosts, pageKey(control.Ban{Jail: last.Jail, Prefix: last.Prefix})
			}
			hosts = append(hosts, control.Host{Jail: name, Prefix: h.Prefix, Failures: h.Failures, First: h.First, Last: h.Last})
		}
	}
	return hosts, ""
}

// Address implements control.Reader.
func (d *Daemon) Address(ctx context.Context, p netip.Prefix) (a control.Address, err error) {
	if !p.IsValid() {
		return a, fmt.Errorf("%w: no address", control.ErrInvalid)
	}
	err = d.ask(ctx, func(context.Context) { a = d.address(p.Masked()) })
	return a, err
}

func (d *Daemon) address(p netip.Prefix) control.Address {
	a := control.Address{Prefix: p, Bans: d.covering("", p), Failures: make(map[string]int)}
	for _, j := range d.plan.Jails {
		if why, ok := j.Allowed(p.Addr(), time.Now()); ok && a.Protected == "" {
			a.Protected = why
		}
		for bits := p.Bits(); bits >= control.Widest(p); bits-- {
			wider, _ := p.Addr().Prefix(bits)
			a.Offences = max(a.Offences, d.past.get(state.Who{Jail: j.Info.Name, Prefix: wider}).Offences)
		}
		for _, b := range a.Bans {
			if b.Jail == j.Info.Name && b.Origin == control.OriginGroup {
				a.Detail = append(a.Detail, d.explainGroup(j, b))
			}
		}
		a.Detail = append(a.Detail, j.ExplainSessions(p.Addr(), time.Now())...)
		if j.Explain != nil {
			a.Detail = append(a.Detail, j.Explain(p.Addr(), time.Now())...)
		}
		if n := j.failures(p.Addr()); n > 0 {
			a.Failures[j.Info.Name] = n
		}
	}
	return a
}

// covering returns the bans of a jail, or of all jails (""), that stop all of p.
func (d *Daemon) covering(name string, p netip.Prefix) []control.Ban {
	var bans []control.Ban
	for _, j := range d.plan.Jails {
		if name != "" && name != j.Info.Name {
			continue
		}
		for bits := p.Bits(); bits >= control.Widest(p); bits-- {
			if d.bans.wide[bits] == 0 {
				continue
			}
			wider, _ := p.Addr().Prefix(bits)
			if b, ok := d.bans.get(j.Info.Name, wider); ok {
				bans = append(bans, b)
			}
		}
	}
	return bans
}

// within returns the bans of a jail, or of all jails (""), of something inside p but not p itself.
func (d *Daemon) within(name string, p netip.Prefix) []control.Ban {
	var bans []control.Ban
	for _, j := range d.named(name) {
		bans = append(bans, d.bans.within(j.Info.Name, p)...)
	}
	return bans
}

// progress is how much of what lies between its first entry and now a source has read, in percent.
func (r *running) progress(now time.Time) int {
	whole := now.Sub(r.first)
	if whole <= 0 {
		return 100
	}
	return int(min(max(100*r.position.Time().Sub(r.first)/whole, 0), 100))
}

// tell renews STATUS= and the watchdog.
func (d *Daemon) tell() {
	s := d.state()
	var text strings.Builder
	fmt.Fprintf(&text, "STATUS=%s: %d jails, %d bans, backend %s", strings.ToUpper(s[:1])+s[1:], len(d.plan.Jails), d.bans.len(), d.plan.Name)
	for _, r := range d.sources {
		if !r.caughtUp && !r.first.IsZero() {
			fmt.Fprintf(&text, "; %s read to %s (%d %%)", r.Name, r.position.Time().Format("2006-01-02 15:04"), r.progress(time.Now()))
		}
	}
	reasons, remedies := d.health.list()
	for i, reason := range reasons {
		text.WriteString("; " + reason + ": " + remedies[i])
	}
	d.cfg.Notify(text.String())
	if d.cfg.Watchdog > 0 {
		d.cfg.Notify("WATCHDOG=1")
	}
}
