package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"

	"exile/internal/config"
	"exile/internal/human"
	"exile/journal"
	"exile/journal/follow"
)

// examineLogs says what the jails make of their logs, and how long an entry takes through the journal.
func examineLogs(ctx context.Context, f *findings, o options, cfg *config.Config) {
	f.title("Logs")
	p := &planner{options: o, log: slog.New(slog.DiscardHandler)}
	b := &builder{planner: p, cfg: cfg}
	for i := range cfg.Jails {
		c := &cfg.Jails[i]
		if !c.Enabled || c.ByHand || ctx.Err() != nil {
			continue
		}
		week, err := b.lastWeek(ctx, c)
		switch {
		case err != nil:
			f.add(wrong, "jail %s cannot read its log: %v", c.Name, err)
		case week.trouble != nil:
			f.add(wrong, "jail %s: %s", c.Name, week)
		case week.lines == 0:
			f.add(unclear, "jail %s: %s", c.Name, week)
		default:
			f.add(good, "jail %s: %s The last is %s old.", c.Name, week, human.Span(time.Since(week.until).Round(time.Second)))
		}
	}
	examineLatency(ctx, f, b)
}

const (
	// echoes is how many entries are sent, one after the other.
	echoes = 9
	// echoWithin is what most of them should take: a guesser makes some attempts in a second.
	echoWithin = 50 * time.Millisecond
	// echoTime is how long the first one may take, and all together.
	echoTime = 10 * time.Second
	// echoName is the identifier and a field of the test entries.
	echoName, echoField = "exiled-doctor", "EXILE_DOCTOR"
)

// examineLatency sends entries to journald and reads them as exiled does.
func examineLatency(ctx context.Context, f *findings, b *builder) {
	took, err := latency(ctx, b.journalDirs(), func(id string) error {
		return journald.Send("A test of exilectl doctor", journald.PriDebug, map[string]string{"SYSLOG_IDENTIFIER": echoName, echoField: id})
	})
	switch {
	case err != nil:
		f.add(wrong, "an entry does not come back through the journal: %v", err)
	case took > echoWithin:
		f.add(wrong, "an entry takes %s through the journal, more than %s: the host is busy, or its disk is slow", took.Round(time.Millisecond), echoWithin)
	default:
		f.add(good, "an entry takes %s through the journal", took.Round(time.Millisecond/10))
	}
}

// errHeard ends the reading of entries.
var errHeard = errors.New("all were heard")

// latency returns the median of what entries take from send to a source.
func latency(ctx context.Context, dirs []string, send func(id string) error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, echoTime)
	defer cancel()
	source, err := follow.New(follow.Config{
		Dirs: dirs, AllUsers: true, Fields: []string{echoField},
		Select: journal.Selector{{{Field: "SYSLOG_IDENTIFIER", Values: []string{echoName}}}},
	})
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	var sent time.Time
	var id string
	next := func() error {
		id, sent = rand.Text(), time.Now()
		return send(id)
	}
	err = source.Follow(ctx, journal.Start{Since: time.Now()}, func(batch journal.Batch) error {
		if batch.CaughtUp && sent.IsZero() {
			return next()
		}
		for _, e := range batch.Entries {
			if e.Fields[echoField] != id {
				continue
			}
			if took = append(took, time.Since(sent)); len(took) == echoes {
				return errHeard
			}
			return next()
		}
		return nil
	})
	if errors.Is(err, errHeard) {
		slices.Sort(took)
		return took[len(took)/2], nil
	}
	if err == nil {
		err = fmt.Errorf("%d of %d were read within %s", len(took), echoes, echoTime)
	}
	return 0, err
}
