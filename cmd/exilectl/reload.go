package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newReloadCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Read the configuration again",
		Long:  "Read the configuration again. Returns when it is in force; a configuration with a mistake changes nothing.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, _ *console) error {
				if err := d.Reload(ctx); err != nil {
					return failure(err, "reload")
				}
				return nil
			})
		},
	}
}
