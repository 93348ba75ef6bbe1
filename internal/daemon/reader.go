package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

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
		Version: d.cfg.Version, State: d.state(), Notice: d.health.notice.at(time.Now()), Degraded: reasons, Remedies: remedy,
		Backend: d.plan.Name, Why: d.plan.Why, Started: d.stats.started, PausedTo: d.kernel.paused, TrialTo: d.trial.running.Until,
		Jails: len(d.plan.Jails), Banned: d.wanted(), Enforced: d.enforced(),
		Entries: d.stats.entries, Bans: d.stats.bans, Unbans: d.stats.unbans, Evicted: d.stats.evicted, Repairs: d.stats.repairs,
		Gaps: d.stats.gaps, Suppressed: d.stats.suppressed, Skipped: d.stats.skipped, Undated: d.stats.undated,
		KernelErrors: d.stats.kernelErrors, DiskErrors: d.stats.diskErrors, ReloadFailures: d.stats.reloadFailures,
		LastRepair: d.stats.lastRepair, LastEntry: d.stats.lastEntry, Lag: max(d.stats.lag, 0), Position: d.sources.position(d.plan.Sources),
		Dropped: maps.Clone(d.stats.dropped), Days: slices.Clone(d.ledger.days.list), Instead: d.health.instead(),
		Blocklists: d.blocklists(),
	}
	for _, j := range d.plan.Jails {
		s.Failing += j.Failing()
		s.Failures += j.attempts()
	}
	return s
}

func (d *Daemon) state() string {
	switch {
	case d.health.degraded():
		return "degraded"
	case d.kernel.pausing():
		return control.Paused
	case !d.sources.caughtUp():
		return "catching-up"
	}
	return "running"
}

// enforced returns how many of the bans the kernel has: none during a pause. A ban of several ports counts once.
func (d *Daemon) enforced() int {
	if d.kernel.pausing() {
		return 0
	}
	return max(d.wanted()-d.kernel.backend.lacking, 0)
}

// wanted returns how many bans the kernel should have: all except those of jails that simulate.
func (d *Daemon) wanted() int {
	n := d.ledger.bans.len()
	for _, j := range d.plan.Jails {
		if j.Simulate {
			n -= d.ledger.bans.count(j.Info.Name)
		}
	}
	return n
}

// ExportState implements control.Archiver.
func (d *Daemon) ExportState(ctx context.Context, w io.Writer) error {
	var c state.Contents
	var failed error
	asked := d.ask(ctx, func(context.Context) {
		c = d.ledger.contents()
		d.addContents(&c)
		failed = d.addMemories(c.Snapshots)
		excludeReports(c) // in the memories
	})
	if err := errors.Join(asked, failed); err != nil {
		return err
	}
	return c.Export(w) // outside the loop, because it may take long
}

// addMemories adds the current memories of the detectors. Those on disk stay as they are.
func (d *Daemon) addMemories(to map[string]state.Snapshot) error {
	for _, r := range d.sources.running {
		at := r.complete()
		if at.IsZero() {
			continue
		}
		for _, j := range r.Jails {
			if j.Memory == nil {
				continue
			}
			s, err := j.snapshot(d.knownUntil(j, at))
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
	if j.Allowlist != nil {
		s.Protected = j.Allowlist.Protected()
	}
	s.Banned = d.ledger.bans.count(s.Name)
	s.Failing = j.Failing()
	s.Failures = j.attempts()
	s.Total, s.LastBan, s.Origins = j.counters.bans, j.counters.lastBan, maps.Clone(j.counters.origins)
	s.Denied, s.Leaked = j.counters.denied, j.counters.leaked
	counters := j.Counters()
	s.Spared, s.Evicted, s.Lines = counters.Protected, counters.Evicted, make(map[string]uint64, len(counters.Lines))
	for kind, n := range counters.Lines {
		s.Lines[jail.Kind(kind).String()] = n
	}
	s.Lines[jail.None.String()] -= counters.Ignored
	s.Lines["ignored"] = counters.Ignored
	return s
}

// Bans implements control.Reader.
func (d *Daemon) Bans(ctx context.Context, p control.Page) (bans []control.Ban, next string, err error) {
	var unknown error
	var all snapshot
	var simulated map[string]bool
	err = d.ask(ctx, func(context.Context) {
		unknown, all, simulated = d.known(p.Jail), d.ledger.bans.snapshot(p.Jail), d.simulating()
	})
	if err := errors.Join(unknown, err); err != nil {
		return nil, "", err
	}
	bans, next = all.page(p) // outside the loop, because a long page takes milliseconds
	for i := range bans {
		bans[i].Simulated = simulated[bans[i].Jail]
	}
	return bans, next, nil
}

// simulating returns the names of the jails that simulate.
func (d *Daemon) simulating() map[string]bool {
	names := make(map[string]bool)
	for _, j := range d.plan.Jails {
		if j.Simulate {
			names[j.Info.Name] = true
		}
	}
	return names
}

// asShown returns a ban as others see it. Whether it is simulated follows from the configuration, which may change, so neither the table nor
// the disk has it.
func (d *Daemon) asShown(b control.Ban) control.Ban {
	j := d.plan.jail(b.Jail)
	b.Simulated = j != nil && j.Simulate
	return b
}

// known returns an error for a jail that does not exist; an empty name means all jails.
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
	limit := p.Size()
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
	err = d.ask(ctx, func(context.Context) { a = d.address(p.Masked()) })
	return a, err
}

func (d *Daemon) address(p netip.Prefix) control.Address {
	a := control.Address{Prefix: p, Bans: d.covering("", p), Failures: make(map[string]int)}
	now := time.Now()
	for i, b := range a.Bans {
		a.Bans[i] = d.asShown(b)
		a.Banned = a.Banned || !a.Bans[i].Simulated
	}
	for _, j := range d.plan.Jails {
		s := d.stands(j, p, now)
		a.Jails = append(a.Jails, s)
		if a.Protected == "" {
			a.Protected = s.Protected
		}
		for bits := p.Bits(); bits >= control.Widest(p); bits-- {
			wider, _ := p.Addr().Prefix(bits)
			a.Offences = max(a.Offences, d.ledger.past.get(state.Who{Jail: j.Info.Name, Prefix: wider}).Offences)
		}
		for _, b := range a.Bans {
			if b.Jail == j.Info.Name && b.Origin == control.OriginGroup {
				a.Detail = append(a.Detail, d.explainGroup(j, b))
			}
		}
		a.Detail = append(a.Detail, j.ExplainSessions(p.Addr(), now)...)
		if j.Explain != nil {
			a.Detail = append(a.Detail, j.Explain(p.Addr(), now)...)
		}
		if s.Failures > 0 {
			a.Failures[j.Info.Name] = s.Failures
		}
	}
	if p.IsSingleIP() {
		a.Detail = append(a.Detail, d.explainBlocklists(p.Addr())...)
	} else {
		d.addParts(&a)
	}
	return a
}

// covering returns the bans of a jail, or of all jails (""), that stop all of p.
func (d *Daemon) covering(name string, p netip.Prefix) (bans []control.Ban) {
	for _, j := range d.named(name) {
		bans = append(bans, d.ledger.covering(j.Info.Name, p)...)
	}
	return bans
}

// within returns the bans of a jail, or of all jails (""), of something inside p but not p itself.
func (d *Daemon) within(name string, p netip.Prefix) []control.Ban {
	var bans []control.Ban
	for _, j := range d.named(name) {
		bans = append(bans, d.ledger.bans.within(j.Info.Name, p)...)
	}
	return bans
}
