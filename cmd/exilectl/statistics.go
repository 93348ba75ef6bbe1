package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newStatisticsCommand(o *options) *cobra.Command {
	var reset bool
	cmd := &cobra.Command{
		Use:   "statistics",
		Short: "Show the counters of the daemon and of its jails",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reset {
				return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
					if err := d.ResetStatistics(ctx); err != nil {
						return failure(err, "reset statistics")
					}
					o.note(c, "Statistics reset.")
					return nil
				})
			}
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				return statistics(ctx, d, c)
			})
		},
	}
	cmd.Flags().BoolVar(&reset, "reset", false, "Set the counters to zero")
	return cmd
}

type counterRow struct {
	Jail     string `json:"jail"` // empty: the daemon
	Banned   int    `json:"banned"`
	Failing  int    `json:"failing"`
	Failures uint64 `json:"failures"`
	Bans     uint64 `json:"bans"`
	LastBan  *int64 `json:"last_ban"`

	last time.Time
}

func statistics(ctx context.Context, d control.Reader, c *console) error {
	s, err := d.Status(ctx)
	if err != nil {
		return failure(err, "get statistics")
	}
	jails, err := d.Jails(ctx)
	if err != nil {
		return failure(err, "get statistics")
	}
	rows := []counterRow{{Banned: s.Banned, Failing: s.Failing, Failures: s.Failures, Bans: s.Bans}}
	for _, j := range jails {
		rows = append(rows, counterRow{j.Name, j.Banned, j.Failing, j.Failures, j.Total, micros(j.LastBan), j.LastBan})
	}
	if c.wantJSON() {
		return printArray(c, len(rows), func(i int) any { return rows[i] })
	}
	t := table{
		columns: []column{{"JAIL", false}, {"BANNED", true}, {"FAILING", true}, {"FAILURES", true}, {"BANS", true}, {"LAST BAN", false}},
		rows:    len(rows),
		row: func(i int) []cell {
			r := rows[i]
			return []cell{
				orDash(r.Jail), text(strconv.Itoa(r.Banned)), text(strconv.Itoa(r.Failing)),
				text(strconv.FormatUint(r.Failures, 10)), text(strconv.FormatUint(r.Bans, 10)), orDash(stamp(r.last)),
			}
		},
	}
	t.print(c)
	return nil
}
