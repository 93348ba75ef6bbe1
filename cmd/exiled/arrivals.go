package main

import (
	"context"
	"sync/atomic"
	"time"

	"exile/internal/config"
	"exile/internal/daemon"
	"exile/internal/setup"
)

// Services are installed, and begin or cease to write logs, while exiled runs. What jails read was chosen by what was there when the plan was
// made; this file finds out when a plan made now would read something else.

const (
	// lookEvery is the time between two looks at what exists.
	lookEvery = 5 * time.Second
	// goneFor is how long a log is missing before the journal is read in its place: one that was rotated away comes back with the next line.
	// A service that removes its log again and again causes no more than one new plan in that time.
	goneFor = 10 * time.Minute
	// tryEvery is the shortest time between two new plans. Each new plan reads the logs again, and whoever may write a log can create and
	// remove it again and again.
	tryEvery = time.Minute
)

// choice is a filter with a log of its own whose lines could be in the journal, too.
type choice struct {
	jail string
	part *config.Part
	logs bool      // chosen, and not the journal
	gone time.Time // since when the logs are missing; zero: they are there
}

// choices are what was chosen for the jails of a plan.
type choices struct {
	all     []choice
	changed atomic.Bool // something else would be chosen now; read by the loop of the daemon
	warned  bool        // that a jail cannot run
}

// note keeps what was chosen for a jail, where there was a choice.
func (c *choices) note(jail string, read []*setup.Reading) {
	for _, r := range read {
		if setup.OwnLog(r.Part) && setup.InJournal(r.Part) {
			c.all = append(c.all, choice{jail: jail, part: r.Part, logs: r.Logs != nil})
		}
	}
}

// outdated reports whether something else would be chosen, with what exists, now.
func (c *choice) outdated(exists func([]string) bool, now time.Time) bool {
	switch there := exists(c.part.LogPath); {
	case !c.logs:
		return there
	case there:
		c.gone = time.Time{}
	case c.gone.IsZero():
		c.gone = now
	}
	return !c.gone.IsZero() && now.Sub(c.gone) >= goneFor
}

// look looks from time to time until something else would be chosen, or a jail would run that does not, or ctx ends.
func (b *builder) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	asked := time.Now()
	for !b.choices.changed.Load() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := range b.choices.all {
			if c := &b.choices.all[i]; c.outdated(logExists, time.Now()) {
				b.log.Info("What a jail reads has to be chosen again", "jail", c.jail, "filter", c.part.Filter, "log", !c.logs)
				b.choices.changed.Store(true)
			}
		}
		if b.arrived() {
			b.choices.changed.Store(true)
		}
		if now := time.Now(); now.Sub(asked) >= askedEvery {
			asked = now
			if b.moved(ctx) {
				b.choices.changed.Store(true)
			}
		}
	}
}

// arrived reports whether a jail would run now. If it cannot, it says so once.
func (b *builder) arrived() bool {
	names := b.cfg.Arrived()
	if len(names) == 0 {
		return false
	}
	_, err := b.cfg.With(names)
	if err != nil && !b.choices.warned {
		b.choices.warned = true
		b.log.Warn("Cannot turn on jails whose service is here now", "jails", names, "error", err)
	}
	return err == nil
}

// better returns a plan that reads what can be read now, if that is something else.
func (b *builder) better(ctx context.Context) (*daemon.Plan, error) {
	if time.Since(b.tried) < tryEvery || !b.choices.changed.Load() && (!b.noJournal || b.journalError() != nil) {
		return nil, nil
	}
	b.tried = time.Now()
	cfg, err := b.cfg.With(b.cfg.Arrived())
	if err != nil {
		return nil, err
	}
	return b.planFor(ctx, cfg, false)
}
