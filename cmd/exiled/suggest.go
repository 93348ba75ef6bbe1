package main

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"exile/internal/config"
	"exile/internal/geoip"
	"exile/internal/human"
	"exile/internal/replay"
	"exile/internal/setup"
	"exile/internal/suggest"
)

// This file tries many rules on a log.

// trials are rules that are tried, the one that is configured first.
type trials struct {
	*replay.Grid
	rules []suggest.Rule
	sets  []replay.Rules
	days  int
	day   int64 // since 1970, of the last entry
}

// mostTracked is how many addresses each rule counts at most.
const mostTracked = 1 << 16

// mostOwners is how many false bans are named.
const mostOwners = 100

// prepareTrials builds the jails of all rules.
func (r *rehearsal) prepareTrials(host setup.Host) error {
	asked := r.asked
	asked.Jails = nil
	for _, j := range r.jails {
		asked.Jails = append(asked.Jails, j.Name)
	}
	host.Resolve, host.Places = remembered(host.Resolve), readOnce(host.Places)
	t := new(trials)
	var known [][]config.Jail
	for _, rule := range append([]suggest.Rule{{Name: suggest.Now}}, suggest.Rules()...) {
		asked.Settings = append(slices.Clip(r.asked.Settings), rule.Settings...)
		cfg, wanted, err := chosen(asked)
		if err != nil {
			return err
		}
		jails := decisive(wanted)
		if slices.ContainsFunc(known, func(other []config.Jail) bool { return reflect.DeepEqual(jails, other) }) {
			continue // what is configured is one of those that are tried
		}
		known = append(known, jails)
		for _, c := range wanted {
			c.MaxTracked = min(c.MaxTracked, mostTracked)
			r.lookBack = max(r.lookBack, setup.LookBack(cfg, c))
		}
		quiet := &rehearsal{asked: r.asked, logs: r.logs, form: r.form} // what is not read was said already
		set, err := setup.Rules(cfg, quiet.readers(wanted), host)
		if err != nil {
			return err
		}
		t.rules, t.sets = append(t.rules, rule), append(t.sets, set)
	}
	t.Grid = replay.NewGrid(t.sets)
	r.muted = !r.asked.Since.IsZero()
	t.Mute(r.muted)
	r.trials = t
	return nil
}

// decisive are the settings of jails that decide.
func decisive(wanted []*config.Jail) (all []config.Jail) {
	for _, c := range wanted {
		only := config.Jail{Config: c.Config}
		if c.Detection != "threshold" {
			only = config.Jail{Adaptive: c.Adaptive}
		}
		all = append(all, only)
	}
	return all
}

// remembered asks for each host name once.
func remembered(resolve func(string) []netip.Addr) func(string) []netip.Addr {
	known := make(map[string][]netip.Addr)
	return func(name string) []netip.Addr {
		addrs, ok := known[name]
		if !ok {
			addrs = resolve(name)
			known[name] = addrs
		}
		return addrs
	}
}

// readOnce reads databases of places, which are the same for all rules, once.
func readOnce(read func([]string) *geoip.Table) func([]string) *geoip.Table {
	var table *geoip.Table
	return func(paths []string) *geoip.Table {
		if table == nil {
			table = read(paths)
		}
		return table
	}
}

// date counts the days that have entries.
func (t *trials) date(at time.Time) {
	if day := at.Unix() / (24 * 60 * 60); t.days == 0 || day > t.day {
		t.days, t.day = t.days+1, day
	}
}

// suggested is the report of a run that took so long.
func (r *rehearsal) suggested(took time.Duration, interrupted bool) *suggest.Report {
	t := r.trials
	count, sources := t.Count()
	rep := &suggest.Report{
		Interrupted: interrupted, Troubles: r.report.Troubles, First: r.report.First, Last: r.report.Last, Days: t.days, Entries: count.Entries,
		Attempts: count.Attempts, Sources: sources, Logins: count.Logins, Forgot: t.Forgot(), Elapsed: took.Seconds(),
	}
	for _, j := range r.jails {
		rep.Jails = append(rep.Jails, j.Name)
	}
	for i, tried := range t.Tried() {
		tried.Estimate = tried.Estimate || crowded(&t.sets[i])
		rep.Rows = append(rep.Rows, suggest.Row{Rule: t.rules[i].Name, Settings: append([]string{}, t.rules[i].Settings...), Tried: tried})
	}
	if t.More() || slices.ContainsFunc(rep.Rows, func(row suggest.Row) bool { return row.Estimate }) {
		rep.Troubles = append(rep.Troubles, "there were more addresses than "+human.Count(mostTracked, "bans")+" or counts per rule: the numbers are estimates")
	}
	rep.Decide()
	rep.Owners, rep.NowOwners = t.named(rep.Best), t.named(0)
	return rep
}

func (t *trials) named(side int) []replay.Owner {
	return append([]replay.Owner{}, t.Owners(side, mostOwners)...)
}

// crowded reports whether rules forgot addresses that they would have counted in a replay of their own.
func crowded(set *replay.Rules) bool {
	return slices.ContainsFunc(set.Jails, func(j *replay.Jail) bool { return j.Failing() >= mostTracked })
}
