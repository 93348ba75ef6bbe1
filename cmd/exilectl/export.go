package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newExportCommand(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:               "export [JAIL | --state]",
		Short:             "Write bans, or the whole state, for import",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			var jail string
			if len(args) == 1 {
				jail = args[0]
			}
			if all && jail != "" {
				return errors.New("--state exports all jails: name none")
			}
			return o.attended(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if all {
					return exportState(ctx, d, c)
				}
				c.json = jsonShort
				if err := d.EachBan(ctx, jail, func(b control.Ban) error { return c.document(control.Document(&b)) }); err != nil {
					return failure(err, "export bans")
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&all, "state", false, "Write everything that the daemon keeps on disk")
	return cmd
}
