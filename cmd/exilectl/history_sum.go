package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/announce"
	"exile/internal/control"
	"exile/internal/replay"
	"exile/internal/tally"
)

// This file finds what history --by sums up: the days that the daemon keeps and, for the time before them, the journal.

// sumFlags are the options of history that only make sense with --by.
type sumFlags struct {
	by    string
	jail  string
	rows  int
	graph bool
}

func (f *sumFlags) register(cmd *cobra.Command, o *options) {
	flags := cmd.Flags()
	flags.StringVar(&f.by, "by", "", "Sum up by `WHAT`: address, network, name, rule, reason, hour, day or jail")
	flags.StringVar(&f.jail, "jail", "", "Sum up only the jail `NAME`")
	flags.IntVarP(&f.rows, "lines", "n", 20, "Show so many addresses, networks, names or rules: `N`, or 0 for all")
	flags.BoolVar(&f.graph, "graph", false, "Draw the sums as bars")
	completeFlag(cmd, "by", completeWords(byWords()...))
	completeFlag(cmd, "jail", completeJails(o))
	completeFlag(cmd, "lines", cobra.NoFileCompletions)
}

// check refuses options that would have no effect.
func (f *sumFlags) check(cmd *cobra.Command, addresses []string) error {
	if f.by == "" {
		for _, name := range []string{"jail", "lines", "graph"} {
			if cmd.Flags().Changed(name) {
				return fmt.Errorf("--%s needs --by", name)
			}
		}
		return nil
	}
	switch {
	case !slices.Contains(byWords(), f.by):
		return fmt.Errorf("--by=%q: use address, network, name, rule, reason, hour, day or jail", f.by)
	case len(addresses) > 0:
		return errors.New("--by sums up all addresses: name none")
	case f.rows < 0:
		return errors.New("--lines is negative")
	}
	return nil
}

// sumUp prints the sums of a period.
func (o *options) sumUp(ctx context.Context, f *sumFlags, dir string, during period) error {
	h, troubles, err := o.sumsOf(ctx, f.jail, dir, during)
	if err != nil {
		return err
	}
	s := pastSums{past: h, during: during, most: f.rows, graph: f.graph}
	if err := o.paged(func(c *console) error { return s.print(c, f.by) }); err != nil {
		return err
	}
	if !o.quiet {
		for _, t := range troubles {
			fmt.Fprintln(os.Stderr, quoteLines(sentences(t)))
		}
	}
	return nil
}

// sumsOf asks the daemon for the days that it keeps, and reads the journal for what is asked for and was before them. A directory is read without
// the daemon.
func (o *options) sumsOf(ctx context.Context, jail, dir string, during period) (h *tally.History, troubles []string, err error) {
	h = new(tally.History)
	if dir != "" {
		troubles, err = fromJournal(ctx, h, jail, dir, during)
		return h, troubles, err
	}
	d, err := o.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	if *h, err = d.History(ctx, jail, during.since, during.until); err != nil {
		return nil, nil, failure(err, "get the kept days")
	}
	if during.since.IsZero() || len(h.Days) > 0 && !h.Days[0].Start().After(during.since) {
		return h, nil, nil
	}
	before := period{during.since, during.until}
	if len(h.Days) > 0 {
		before.until = h.Days[0].Start()
	}
	troubles, err = fromJournal(ctx, h, jail, "", before)
	return h, troubles, err
}

// fromJournal adds what the journal says of a period: the attempts, by a replay, and the bans, by what exiled announced.
func fromJournal(ctx context.Context, h *tally.History, jail, dir string, during period) (troubles []string, err error) {
	asked := replay.Request{Directory: dir, Since: during.since, Until: during.until, History: true}
	if jail != "" {
		asked.Jails = []string{jail}
	}
	rep, err := replayReport(ctx, asked)
	if err != nil {
		return nil, err
	}
	past := tally.Read(rep.History)
	for i := range past.Days { // nobody was banned by the replay
		past.Days[i].Happened()
	}
	h.Unite(&past)
	more, err := addBans(h, jail, dir, during)
	return append(rep.Troubles, more...), err
}

// addBans adds the bans that were announced.
func addBans(h *tally.History, jail, dir string, during period) (troubles []string, err error) {
	log, err := openHistory(dir, during)
	if err != nil {
		return nil, failure(err, "read the journal")
	}
	defer log.close()
	book := tally.NewBook(maxBanDays)
	for {
		e, fields, ok := log.next()
		if !ok {
			break
		}
		event, ok := announce.Read(e, fields)
		if !ok || jail != "" && event.Ban.Jail != jail {
			continue
		}
		addBan(book.Day(event.Ban.Jail, e), e, &event)
	}
	var bans tally.History
	bans.Add(book.Days()...)
	h.Unite(&bans)
	return log.troubles, nil
}

// maxBanDays is how many days of jails bans are counted on.
const maxBanDays = 3660

func addBan(d *tally.Day, at time.Time, event *control.Event) {
	switch event.Kind {
	case control.BanNew:
		d.Ban(at, event.Ban.Reason)
	case control.Protected:
		d.Protected++
	}
}
