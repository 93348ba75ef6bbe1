package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"exile/internal/config"
	"exile/internal/human"
	"exile/internal/setup"
	"exile/jail"
	"exile/journal"
	"exile/journal/merge"
)

// This file reads what a jail would have read in the last week, so that whoever turns it on sees whether its filter knows the service's lines.

const (
	// weekBack is how far back it is read.
	weekBack = 7 * 24 * time.Hour
	// weekTime is how long it may take.
	weekTime = 5 * time.Second
	// weekFrom is how many addresses are counted.
	weekFrom = 100_000
)

// lastWeek is what was found.
type lastWeek struct {
	lines, failures int
	from            map[netip.Addr]bool
	until           time.Time // of the last line
	whole           bool      // everything was read
	trouble         error     // what could not be read
}

// errRead ends a source that has been read to its end.
var errRead = errors.New("read to the end")

// showLastWeek prints what the named jail makes of the last week.
func showLastWeek(ctx context.Context, o options, out io.Writer) error {
	p := &planner{options: o, log: slog.New(slog.DiscardHandler)}
	cfg, err := config.Load(p.sources(""))
	if err != nil {
		return err
	}
	for i := range cfg.Jails {
		if cfg.Jails[i].Name != o.lastWeek {
			continue
		}
		week, err := (&builder{planner: p, cfg: cfg}).lastWeek(ctx, &cfg.Jails[i])
		if err == nil {
			_, err = fmt.Fprintln(out, week)
		}
		return err
	}
	return fmt.Errorf("there is no jail %q", o.lastWeek)
}

// lastWeek reads the lines of a jail.
func (b *builder) lastWeek(ctx context.Context, c *config.Jail) (*lastWeek, error) {
	chosen := b.choose(c)
	filter, accepts, err := setup.Filter(b.cfg, c, chosen)
	if err != nil {
		return nil, err
	}
	sources, err := setup.TextLogs(c, chosen, openLog)
	if err != nil {
		return nil, err
	}
	if wanted := setup.Seek(chosen); len(wanted.Select) > 0 {
		source, err := b.journal(wanted)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source.Source)
	}
	w := &lastWeek{from: make(map[netip.Addr]bool)}
	ctx, cancel := context.WithTimeout(ctx, weekTime)
	defer cancel()
	err = merge.New(sources...).Follow(ctx, journal.Start{Since: time.Now().Add(-weekBack)}, func(b journal.Batch) error {
		for i := range b.Entries {
			if e := &b.Entries[i]; accepts(e) {
				w.add(e, jail.Parse(filter, e))
			}
		}
		w.trouble, w.whole = b.Trouble, b.CaughtUp
		if b.CaughtUp {
			return errRead
		}
		return nil
	})
	if errors.Is(err, errRead) {
		err = nil
	}
	return w, err
}

// add counts a line.
func (w *lastWeek) add(e *journal.Entry, ev jail.Event) {
	w.lines++
	w.until = e.Time
	if !ev.Counts || !ev.Addr.IsValid() {
		return
	}
	w.failures += max(ev.Count, 1)
	if len(w.from) < weekFrom {
		w.from[ev.Addr] = true
	}
}

// String is a sentence about it, or two.
func (w *lastWeek) String() string {
	text := human.Count(w.lines, "lines") + " of the last week read, "
	if w.failures > 0 {
		text += human.Count(w.failures, "failures") + " of " + human.Count(len(w.from), "addresses") + "."
	} else {
		text += "no failure among them."
	}
	switch {
	case w.lines == 0 && w.whole:
		text = "The log has no line of its service from the last week."
	case w.lines == 0:
		text = fmt.Sprintf("The log is too long to be read in %s: what it has of its service is not known.", human.Span(weekTime))
	case !w.whole:
		text += fmt.Sprintf(" That took long: what was logged after %s is not counted.", w.until.Local().Format("Mon 15:04:05"))
	}
	if w.trouble != nil {
		text += " Not everything can be read: " + strings.ReplaceAll(w.trouble.Error(), "\n", "; ") + "."
	}
	return text
}
