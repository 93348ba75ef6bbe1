package main

import (
	"log/slog"
	"testing"
	"time"

	"exile/internal/config"
	"exile/internal/setup"
	"exile/jail/filter/services"
)

// TestOutdated: a log that appears is read at once; the journal is read in place of one that is missing for long, and not in place of one that
// was only rotated away.
func TestOutdated(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	type look struct {
		at    time.Duration
		there bool
		want  bool
	}
	for name, c := range map[string]struct {
		logs  bool
		looks []look
	}{
		"appears":      {false, []look{{0, false, false}, {minute, true, true}}},
		"never there":  {false, []look{{0, false, false}, {100 * minute, false, false}}},
		"there":        {true, []look{{0, true, false}, {100 * minute, true, false}}},
		"rotated away": {true, []look{{0, true, false}, {minute, false, false}, {10 * minute, false, false}, {11*minute - 1, true, false}, {12 * minute, false, false}, {22*minute - 1, false, false}}},
		"gone":         {true, []look{{0, true, false}, {minute, false, false}, {11 * minute, false, true}}},
	} {
		one := choice{part: new(config.Part), logs: c.logs}
		for _, l := range c.looks {
			if got := one.outdated(func([]string) bool { return l.there }, time.Unix(0, 0).Add(l.at)); got != l.want {
				t.Errorf("%s: after %v: %t, want %t", name, l.at, got, l.want)
			}
		}
	}
}

// TestNote: only a filter that could read either is looked after.
func TestNote(t *testing.T) {
	t.Parallel()
	line, syslog := &services.Service{Form: services.Line}, &services.Service{Form: services.Syslog}
	logs, units := []string{"/srv/log"}, []string{"a.service"}
	var c choices
	c.note("web", []*setup.Reading{
		{Part: &config.Part{Filter: "both", Service: line, LogPath: logs, Units: units}, Logs: logs},
		{Part: &config.Part{Filter: "log", Service: line, LogPath: logs}, Logs: logs},
		{Part: &config.Part{Filter: "journal", Service: line, Units: units}},
		{Part: &config.Part{Filter: "syslog", Service: syslog, LogPath: logs, Units: units}},
	})
	if len(c.all) != 1 || c.all[0].part.Filter != "both" || !c.all[0].logs {
		t.Errorf("looked after: %+v", c.all)
	}
}

// TestFlapping: whoever makes and removes a log all the time does not have the logs read again all the time. The minute is that of all plans, and
// not of one.
func TestFlapping(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Sources{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := &planner{options: options{check: true}, log: slog.New(slog.DiscardHandler)}
	tries := 0
	for range 3 { // plans
		b := &builder{planner: p, cfg: cfg}
		b.choices.changed.Store(true)
		if plan, err := b.better(t.Context()); plan != nil || err != nil {
			tries++
		}
	}
	if tries != 1 {
		t.Errorf("%d plans at once", tries)
	}
}
