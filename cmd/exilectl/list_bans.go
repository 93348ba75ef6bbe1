package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newListBansCommand(o *options) *cobra.Command {
	var when periodFlags
	cmd := &cobra.Command{
		Use:               "list-bans [JAIL...]",
		Short:             "List bans of some or all jails",
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, jails []string) error {
			made, err := when.read(time.Now())
			if err != nil {
				return err
			}
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				bans, err := allBans(ctx, d, jails, made)
				if err != nil {
					return failure(err, "list bans")
				}
				at := o.openPlaces(o.full)
				defer at.close()
				return printBans(c, bans, at)
			})
		},
	}
	when.register(cmd, "bans made")
	return cmd
}

// pageSize keeps both the memory for a page and the number of calls small.
const pageSize = 2000

// maxExpected limits how far a number from the bus is believed.
const maxExpected = 1_000_000

// allBans holds every ban made in the period: a table is as wide as its widest row.
func allBans(ctx context.Context, d daemon, jails []string, made period) ([]control.Ban, error) {
	status, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	if len(jails) == 0 {
		jails = []string{""}
	}
	// Growing would take twice the memory, and some bans come in while the pages are read.
	out := make([]control.Ban, 0, min(max(status.Banned+status.Banned/16+64, 0), maxExpected))
	known := make(words)
	for _, jail := range jails {
		err := d.EachBan(ctx, jail, func(b control.Ban) error {
			if made.has(b.Since) {
				b.Jail, b.Origin, b.Reason = known.once(b.Jail), control.Origin(known.once(string(b.Origin))), known.once(b.Reason)
				out = append(out, b)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// words keeps one copy of each text that occurs again and again.
type words map[string]string

// maxWords is how many texts are compared; later ones are kept as they are.
const maxWords = 10_000

func (w words) once(s string) string {
	if first, ok := w[s]; ok {
		return first
	}
	if len(w) < maxWords {
		w[s] = s
	}
	return s
}

// jailOf says who made a ban, and whether it is only simulated.
func jailOf(b control.Ban) string {
	if b.Simulated {
		return b.Jail + " (simulated)"
	}
	return b.Jail
}

// printBans prints bans and, if databases are given, where these addresses are.
func printBans(c *console, bans []control.Ban, at *places) error {
	if c.wantJSON() {
		return printArray(c, len(bans), func(i int) any { return at.document(control.Document(&bans[i]), bans[i].Prefix) })
	}
	t := table{
		columns: []column{{"ADDRESS", false}, {"JAIL", false}, {"SINCE", false}, {"LEFT", false}, {"FAILURES", true}, {"BANS", true}, {"ORIGIN", false}},
		rows:    len(bans),
		noun:    "bans",
		row: func(i int) []cell {
			b := bans[i]
			row := []cell{
				text(control.FormatPrefix(b.Prefix)), text(jailOf(b)), orDash(stamp(b.Since)), text(left(b.Until, c.now)),
				text(strconv.Itoa(b.Failures)), text(strconv.Itoa(b.Offence)), orDash(string(b.Origin)),
			}
			return append(append(row, at.cells(b.Prefix)...), orDash(b.Reason))
		},
	}
	t.columns = append(append(t.columns, at.columns()...), column{"REASON", false})
	t.print(c)
	return nil
}
