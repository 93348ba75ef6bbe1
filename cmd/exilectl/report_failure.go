package main

import (
	"context"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newReportFailureCommand(o *options) *cobra.Command {
	var r control.Report
	cmd := &cobra.Command{
		Use:   "report-failure ADDRESS...",
		Short: "Count a failed login, for scripts",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, _ *console) error {
				return each(args, func(text string) error {
					addr, err := control.ParseAddr(text)
					if r.Addr = addr; err == nil {
						err = d.Report(ctx, r)
					}
					if err != nil {
						return failure(err, "report %s", text)
					}
					return nil
				})
			})
		},
	}
	cmd.Flags().StringVar(&r.Jail, "jail", "", "Count for `JAIL` instead of the first one")
	cmd.Flags().StringVar(&r.User, "user", "", "Say that `NAME` was tried")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}
