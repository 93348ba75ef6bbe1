package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"exile/internal/config"
	"exile/internal/human"
	"exile/internal/replay"
)

// This file says how a trial stands.

// interim is a trial and what the jail would have done since it began, as JSON has it.
type interim struct {
	Jail      string         `json:"jail"`
	Since     time.Time      `json:"since"`
	Until     time.Time      `json:"until"`
	Over      bool           `json:"over"`
	Attempts  uint64         `json:"attempts"`
	Sources   int            `json:"sources"`
	Bans      int            `json:"bans"`
	Prevented uint64         `json:"prevented"`
	Passed    uint64         `json:"passed"`
	Denied    uint64         `json:"logins_denied"`
	FalseBans []replay.False `json:"false_bans"`
}

// showTrial replays the log since the beginning of a trial, as if the jail banned, and asks what is to be done if the trial is over.
func (o *options) showTrial(ctx context.Context, jail string, logs []string) error {
	t, err := trialOf(config.Sources{}, jail)
	if err != nil {
		return err
	}
	c := o.newConsole(os.Stdout)
	rep, err := replayReport(ctx, replay.Request{
		Jails: []string{jail}, Since: t.since, Logs: logs, Settings: []string{"simulate=no"}, Progress: !o.quiet && isTerminal(os.Stderr),
	})
	if err != nil {
		return err
	}
	s := standingOf(t, rep, c.now)
	if c.wantJSON() {
		err = c.document(s)
	} else {
		s.print(c)
	}
	if err = errors.Join(err, flush(c), sayTroubles(rep.Troubles, rep.Interrupted)); err != nil || !s.Over || c.wantJSON() {
		return err
	}
	return o.decideTrial(ctx, t)
}

func standingOf(t *trial, rep *replay.Report, now time.Time) *interim {
	return &interim{
		Jail: t.jail, Since: t.since, Until: t.until, Over: !now.Before(t.until), Attempts: rep.Count.Attempts, Sources: rep.Sources, Bans: rep.Bans,
		Prevented: rep.Count.Prevented, Passed: rep.Count.Passed, Denied: rep.Count.Denied, FalseBans: append([]replay.False{}, rep.False...),
	}
}

func (s *interim) print(c *console) {
	end := fmt.Sprintf("until %s; %s left", stamp(s.Until), left(s.Until, c.now))
	if s.Over {
		end = c.paint(yellow, fmt.Sprintf("over since %s; the jail goes on to simulate", stamp(s.Until)))
	}
	c.line(fmt.Sprintf("Jail %s is on trial since %s, ", clean(s.Jail), stamp(s.Since)), end, ".")
	c.line(fmt.Sprintf("Since then %s from %s. As it is configured now, it would have made %s, prevented %s, and denied %s.",
		human.Count(s.Attempts, "attempts"), human.Count(s.Sources, "addresses"), human.Count(s.Bans, "bans"), share(s.Prevented, s.Attempts),
		human.Count(s.Denied, "logins")))
	printFalse(c, s.FalseBans)
	if s.Over {
		c.line("")
		c.line("exilectl trial --end ", clean(s.Jail), " has it ban; exilectl trial ", clean(s.Jail), " 7d goes on for a week from now.")
	}
}

// decideTrial asks at a terminal what comes after a trial. Elsewhere the jail goes on to simulate.
func (o *options) decideTrial(ctx context.Context, t *trial) error {
	if o.quiet || !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
		return nil
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	for {
		fmt.Printf("(e)nforce its bans now, go (o)n for another %s, or (k)eep simulating until you decide? ", human.Span(t.until.Sub(t.since)))
		answer, err := answered(ctx, os.Stdin)
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "e", "enforce":
			return o.endTrial(ctx, config.Sources{}, t.jail)
		case "o", "on":
			return o.beginTrial(ctx, config.Sources{}, t.jail, t.until.Sub(t.since))
		case "k", "keep":
			return nil
		}
		if err != nil {
			return nil //nolint:nilerr // nobody answers: it goes on to simulate
		}
	}
}
