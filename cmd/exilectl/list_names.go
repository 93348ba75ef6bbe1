package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newListNamesCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "list-names [JAIL...]",
		Short:             "List user names that only attackers try",
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, jails []string) error {
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				names, err := allNames(ctx, d, jails)
				if err != nil {
					return failure(err, "list names")
				}
				return printNames(c, names)
			})
		},
	}
}

// allNames joins the names of the jails; without names, of every jail.
func allNames(ctx context.Context, d control.Learner, jails []string) ([]control.Name, error) {
	if len(jails) == 0 {
		return d.Names(ctx, "")
	}
	var out []control.Name
	for _, jail := range jails {
		names, err := d.Names(ctx, jail)
		if err != nil {
			return nil, err
		}
		out = append(out, names...)
	}
	return out, nil
}

func printNames(c *console, names []control.Name) error {
	if c.wantJSON() {
		return printArray(c, len(names), func(i int) any { return control.Document(&names[i]) })
	}
	t := table{
		columns: []column{{"NAME", false}, {"JAIL", false}, {"NETWORKS", true}, {"LAST", false}},
		rows:    len(names),
		noun:    "names",
		row: func(i int) []cell {
			n := names[i]
			return []cell{text(control.QuoteName(string(n.Name))), text(n.Jail), text(strconv.Itoa(n.Hosts)), orDash(stamp(n.Last))}
		},
	}
	t.print(c)
	return nil
}
