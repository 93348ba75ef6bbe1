package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newListJailsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list-jails",
		Short: "List jails",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				jails, err := d.Jails(ctx)
				if err != nil {
					return failure(err, "list jails")
				}
				if c.wantJSON() {
					return printArray(c, len(jails), func(i int) any { return control.Document(&jails[i]) })
				}
				printJails(c, jails)
				return nil
			})
		},
	}
}

func printJails(c *console, jails []control.JailStatus) {
	t := table{
		columns: []column{{"JAIL", false}, {"STATE", false}, {"UNITS", false}, {"BANNED", true}, {"FAILING", true}, {"TOTAL", true}},
		rows:    len(jails),
		noun:    "jails",
		row: func(i int) []cell {
			j := jails[i]
			return []cell{
				text(j.Name),
				{j.State, stateColor(j.State)},
				orDash(strings.Join(j.Units, ",")),
				text(strconv.Itoa(j.Banned)), text(strconv.Itoa(j.Failing)), text(strconv.FormatUint(j.Total, 10)),
			}
		},
	}
	t.print(c)
}
