package main

import (
	"context"

	"github.com/spf13/cobra"

	"exile/internal/control"
	"exile/internal/human"
)

func newListBlocklistsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list-blocklists",
		Short: "List block lists, and how many packets each stopped",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				s, err := d.Status(ctx)
				if err != nil {
					return failure(err, "list block lists")
				}
				if c.wantJSON() {
					return printArray(c, len(s.Blocklists), func(i int) any { return control.Document(&s.Blocklists[i]) })
				}
				printBlocklists(c, s.Blocklists)
				return nil
			})
		},
	}
}

func printBlocklists(c *console, lists []control.Blocklist) {
	t := table{
		columns: []column{{"LIST", false}, {"STATE", false}, {"UPDATED", false}, {"ENTRIES", true}, {"RANGES", true}, {"CUT", true}, {"DROPPED", true}, {"FILE", false}},
		rows:    len(lists),
		noun:    "block lists",
		row: func(i int) []cell {
			l := lists[i]
			updated := "-"
			if !l.Updated.IsZero() {
				updated = stamp(l.Updated)
			}
			return []cell{
				text(l.Name), blocklistState(l), text(updated), number64(uint64(l.Entries)), number64(uint64(l.Ranges)), number64(uint64(l.Cut)),
				number64(l.Dropped), text(l.File),
			}
		},
	}
	t.print(c)
}

func blocklistState(l control.Blocklist) cell {
	switch {
	case l.Trouble != "":
		return cell{"failed", red}
	case !l.Enforced:
		return cell{"idle", yellow}
	}
	return cell{"in force", green}
}

// blocklistsOf sums up the lists for the status.
func blocklistsOf(lists []control.Blocklist) string {
	ranges, dropped := 0, uint64(0)
	for _, l := range lists {
		if l.Enforced {
			ranges += l.Ranges
		}
		dropped += l.Dropped
	}
	return human.Count(len(lists), "block lists") + " with " + human.Count(ranges, "ranges") + " in the kernel, " + human.Count(dropped, "packets") + " stopped"
}
