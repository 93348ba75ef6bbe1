package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newListFailuresCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "list-failures [JAIL...]",
		Short:             "List addresses with failures that are not banned",
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, jails []string) error {
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				hosts, err := allHosts(ctx, d, jails)
				if err != nil {
					return failure(err, "list failures")
				}
				return printHosts(c, hosts)
			})
		},
	}
}

// allHosts reads all pages of the jails; without names, of every jail.
func allHosts(ctx context.Context, d control.Reader, jails []string) ([]control.Host, error) {
	if len(jails) == 0 {
		all, err := d.Jails(ctx)
		if err != nil {
			return nil, err
		}
		for _, j := range all {
			jails = append(jails, j.Name)
		}
	}
	var out []control.Host
	for _, jail := range jails {
		page := control.Page{Jail: jail, Max: pageSize}
		for {
			hosts, next, err := d.Hosts(ctx, page)
			if err != nil {
				return nil, err
			}
			out = append(out, hosts...)
			if next == "" {
				break
			}
			page.After = next
		}
	}
	return out, nil
}

func printHosts(c *console, hosts []control.Host) error {
	if c.wantJSON() {
		return printArray(c, len(hosts), func(i int) any { return control.Document(&hosts[i]) })
	}
	t := table{
		columns: []column{{"ADDRESS", false}, {"JAIL", false}, {"FAILURES", true}, {"FIRST", false}, {"LAST", false}},
		rows:    len(hosts),
		noun:    "addresses",
		row: func(i int) []cell {
			h := hosts[i]
			return []cell{
				text(control.FormatPrefix(h.Prefix)), text(h.Jail), text(strconv.Itoa(h.Failures)),
				orDash(stamp(h.First)), orDash(stamp(h.Last)),
			}
		},
	}
	t.print(c)
	return nil
}
