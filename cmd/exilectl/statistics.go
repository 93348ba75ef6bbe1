package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newStatisticsCommand(o *options) *cobra.Command {
	var reset, daily bool
	cmd := &cobra.Command{
		Use:   "statistics",
		Short: "Show the counters of the daemon and of its jails",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reset {
				return o.attended(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
					if err := d.ResetStatistics(ctx); err != nil {
						return failure(err, "reset statistics")
					}
					o.note(c, "Statistics reset.")
					return nil
				})
			}
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if daily {
					return statisticsByDay(ctx, d, c)
				}
				return statistics(ctx, d, c)
			})
		},
	}
	cmd.Flags().BoolVar(&reset, "reset", false, "Set the counters to zero")
	cmd.Flags().BoolVar(&daily, "daily", false, "Show what got through and what was prevented on each of the last days")
	cmd.MarkFlagsMutuallyExclusive("reset", "daily")
	return cmd
}

// counterRow is a part of a control.JailStatus, or the sum of all jails.
type counterRow struct {
	Jail     string `json:"jail"` // empty: the daemon
	Banned   int    `json:"banned"`
	Failing  int    `json:"failing"`
	Failures uint64 `json:"failures"`
	Bans     uint64 `json:"bans"`
	LastBan  *int64 `json:"last_ban_usec"`
	Spared   uint64 `json:"protections"`
	Denied   uint64 `json:"logins_denied"`

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
		rows = append(rows, counterRow{j.Name, j.Banned, j.Failing, j.Failures, j.Total, micros(j.LastBan), j.Spared, j.Denied, j.LastBan})
		rows[0].Spared += j.Spared
		rows[0].Denied += j.Denied
	}
	if c.wantJSON() {
		return printArray(c, len(rows), func(i int) any { return rows[i] })
	}
	t := table{
		columns: []column{{"JAIL", false}, {"BANNED", true}, {"FAILING", true}, {"FAILURES", true}, {"BANS", true}, {"PROTECTED", true}, {"DENIED", true}, {"LAST BAN", false}},
		rows:    len(rows),
		row: func(i int) []cell {
			r := rows[i]
			return []cell{
				orDash(r.Jail), text(strconv.Itoa(r.Banned)), text(strconv.Itoa(r.Failing)),
				text(strconv.FormatUint(r.Failures, 10)), text(strconv.FormatUint(r.Bans, 10)),
				text(strconv.FormatUint(r.Spared, 10)), text(strconv.FormatUint(r.Denied, 10)), orDash(stamp(r.last)),
			}
		},
	}
	t.print(c)
	return nil
}

// dayRow is a control.Day whose backend may not count.
type dayRow struct {
	Date    *int64  `json:"date_usec"`
	Passed  uint64  `json:"passed"`
	Dropped *uint64 `json:"dropped"` // null: the backend does not count
	Bans    uint64  `json:"bans"`
	Spared  uint64  `json:"protections"`
	Denied  uint64  `json:"logins_denied"`
}

// micros is a time in JSON: microseconds, null for none.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.UnixMicro())
}

// statisticsByDay shows the last days, today last.
func statisticsByDay(ctx context.Context, d control.Reader, c *console) error {
	s, err := d.Status(ctx)
	if err != nil {
		return failure(err, "get statistics")
	}
	row := func(i int) dayRow {
		day := s.Days[i]
		r := dayRow{Date: micros(day.Date), Passed: day.Passed, Bans: day.Bans, Spared: day.Protected, Denied: day.Denied}
		if s.Dropped != nil || day.Dropped > 0 {
			r.Dropped = &day.Dropped
		}
		return r
	}
	if c.wantJSON() {
		return printArray(c, len(s.Days), func(i int) any { return row(i) })
	}
	number := func(n uint64) cell { return text(strconv.FormatUint(n, 10)) }
	t := table{
		columns: []column{{"DATE (UTC)", false}, {"GUESSES PASSED", true}, {"PACKETS DROPPED", true}, {"BANS", true}, {"PROTECTED", true}, {"DENIED", true}},
		rows:    len(s.Days),
		noun:    "days",
		row: func(i int) []cell {
			r, dropped := row(i), orDash("")
			if r.Dropped != nil {
				dropped = number(*r.Dropped)
			}
			return []cell{text(s.Days[i].Date.UTC().Format(time.DateOnly)), number(r.Passed), dropped, number(r.Bans), number(r.Spared), number(r.Denied)}
		},
	}
	t.print(c)
	return nil
}
