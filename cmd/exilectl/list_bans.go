package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"exile/dbusapi"
	"exile/internal/control"
)

func newListBansCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "list-bans [JAIL...]",
		Short:             "List bans of jails, or of all",
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, jails []string) error {
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				bans, err := allBans(ctx, d, jails)
				if err != nil {
					return failure(err, "list bans")
				}
				return printBans(c, bans)
			})
		},
	}
}

// pageSize keeps the memory for one page small and the number of calls too.
const pageSize = 2000

// maxExpected bounds what is believed of a number that came over the bus.
const maxExpected = 1_000_000

// allBans holds every ban: a table is as wide as its widest row.
func allBans(ctx context.Context, d control.Reader, jails []string) ([]control.Ban, error) {
	status, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	if len(jails) == 0 {
		jails = []string{""}
	}
	// Growing would cost twice the memory, and some come while the pages are turned.
	out := make([]control.Ban, 0, min(max(status.Banned+status.Banned/16+64, 0), maxExpected))
	for _, jail := range jails {
		err := control.EachBan(ctx, d, control.Page{Jail: jail, Max: pageSize}, func(b control.Ban) error {
			b.Reason = "" // status has it, and the bus leaves it out of lists
			out = append(out, b)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// banRow is a ban in JSON: the headings of the table, raw values.
type banRow struct {
	Address  string `json:"address"`
	Jail     string `json:"jail"`
	Since    *int64 `json:"since"` // microseconds since 1970
	Until    *int64 `json:"until"` // null: permanent
	Failures int    `json:"failures"`
	Bans     int    `json:"bans"`
	Origin   string `json:"origin"`
	Reason   string `json:"reason,omitempty"`

	Simulated bool `json:"simulated,omitempty"` // only status says it
}

func toBanRow(b control.Ban) banRow {
	return banRow{
		Address: dbusapi.FormatPrefix(b.Prefix), Jail: b.Jail, Since: micros(b.Since), Until: micros(b.Until),
		Failures: b.Failures, Bans: b.Offence, Origin: string(b.Origin), Reason: b.Reason,
	}
}

// micros is a time in JSON: microseconds, null for none.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func printBans(c *console, bans []control.Ban) error {
	if c.wantJSON() {
		return printArray(c, len(bans), func(i int) any { return toBanRow(bans[i]) })
	}
	t := table{
		columns: []column{{"ADDRESS", false}, {"JAIL", false}, {"SINCE", false}, {"LEFT", false}, {"FAILURES", true}, {"BANS", true}, {"ORIGIN", false}},
		rows:    len(bans),
		noun:    "bans",
		row: func(i int) []cell {
			b := bans[i]
			return []cell{
				text(dbusapi.FormatPrefix(b.Prefix)), text(b.Jail), orDash(stamp(b.Since)), text(left(b.Until, c.now)),
				text(strconv.Itoa(b.Failures)), text(strconv.Itoa(b.Offence)), orDash(string(b.Origin)),
			}
		},
	}
	t.print(c)
	return nil
}
