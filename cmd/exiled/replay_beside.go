package main

import (
	"fmt"
	"slices"
	"strings"

	"exile/internal/config"
	"exile/internal/replay"
	"exile/internal/setup"
	"exile/jail"
	"exile/journal"
)

// This file runs other detectors over the log of a replay, so that people see what theirs does with their own log.

// beside is a run of the same jails with another detector. Nothing in it is shared with another run.
type beside struct {
	name   string
	rules  replay.Rules
	replay *replay.Replay
	muted  bool // what happens now is before the period
}

// ways are the detectors that are compared: each a name and the settings that make it.
var ways = [...]struct {
	name     string
	settings []string
	adaptive bool
}{
	{"5 attempts in 10 minutes", []string{"detection=threshold", "maxretry=5", "findtime=10m"}, false},
	{"adaptive", []string{"detection=adaptive"}, true},
}

// asConfigured is the name of the run that all others are compared with.
const asConfigured = "as configured"

// prepareBeside builds the jails with each other detector. If the configuration says adaptive for all, that is not run twice. A detector that
// the rest of the configuration does not allow is left out, and the report says so.
func (r *rehearsal) prepareBeside(wanted []*config.Jail, host setup.Host) {
	adaptive := !slices.ContainsFunc(wanted, func(c *config.Jail) bool { return !c.ByHand && c.Detection != jail.Adaptive })
	for _, w := range ways {
		if w.adaptive && adaptive {
			continue
		}
		rules, err := r.rulesWith(w.settings, host)
		if err != nil {
			r.report.Troubles = append(r.report.Troubles, fmt.Sprintf("the detector %q was not compared: %v", w.name, err))
			continue
		}
		b := beside{name: w.name, rules: rules, replay: replay.New(rules), muted: !r.asked.Since.IsZero()}
		b.replay.Mute(b.muted)
		r.beside = append(r.beside, b)
	}
}

// rulesWith builds the jails of the replay with other settings.
func (r *rehearsal) rulesWith(settings []string, host setup.Host) (rules replay.Rules, err error) {
	asked := r.asked
	asked.Settings = slices.Clone(settings)
	for _, s := range r.asked.Settings {
		name, _, _ := strings.Cut(s, "=")
		if !slices.ContainsFunc(settings, func(other string) bool { return strings.HasPrefix(other, name+"=") }) {
			asked.Settings = append(asked.Settings, s)
		}
	}
	cfg, jails, err := chosen(asked)
	if err != nil {
		return rules, err
	}
	told := len(r.report.Troubles)
	readers := r.readers(jails)
	r.report.Troubles = r.report.Troubles[:told] // the same again
	for i := range readers {
		r.lookBack = max(r.lookBack, setup.LookBack(cfg, readers[i].Jail))
	}
	return setup.Rules(cfg, readers, host)
}

// observe shows an entry to the jails. Those before the period only teach, also if they come late.
func (b *beside) observe(e *journal.Entry, asked replay.Request) {
	if isAfter(e, asked) {
		return
	}
	if before := e.Time.Before(asked.Since); before != b.muted {
		b.muted = before
		b.replay.Mute(before)
	}
	b.replay.Observe(b.rules.Jails, e)
}

// isAfter reports whether an entry is after the period.
func isAfter(e *journal.Entry, asked replay.Request) bool {
	return !asked.Until.IsZero() && !e.Time.Before(asked.Until)
}

// compareDetectors returns what each did, the configuration's first.
func (r *rehearsal) compareDetectors() []replay.Detector {
	all := []replay.Detector{r.replay.Detector(asConfigured)}
	for i := range r.beside {
		all = append(all, r.beside[i].replay.Detector(r.beside[i].name))
	}
	return all
}
