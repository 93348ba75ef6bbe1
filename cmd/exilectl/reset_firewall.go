package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newResetFirewallCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-firewall",
		Short: "Remove all that is ours from the kernel and fill it anew",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, _ *console) error {
				if err := d.ResetFirewall(ctx); err != nil {
					return failure(err, "reset the firewall")
				}
				return nil
			})
		},
	}
}
