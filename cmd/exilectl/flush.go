package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newFlushCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "flush [JAIL...]",
		Short:             "Lift every ban of jails, or of all",
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, jails []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if len(jails) == 0 {
					return o.unbanAll(ctx, d, c, "")
				}
				return each(jails, func(jail string) error { return o.unbanAll(ctx, d, c, jail) })
			})
		},
	}
	askingFlag(cmd, o)
	return cmd
}

// askingFlag gives a verb that lifts every ban the flag that keeps it from asking.
func askingFlag(cmd *cobra.Command, o *options) {
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "Do not ask before many bans are lifted")
}
