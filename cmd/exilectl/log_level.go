package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"exile/dbusapi"
)

func newLogLevelCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:       "log-level [LEVEL]",
		Short:     "Show or set how much the daemon logs",
		Long:      "Show or set how much the daemon logs: " + strings.Join(dbusapi.LogLevelNames(), ", ") + ".",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: dbusapi.LogLevelNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if len(args) == 1 && !slices.Contains(dbusapi.LogLevelNames(), args[0]) {
					return fmt.Errorf("unknown log level %q: use %s", args[0], strings.Join(dbusapi.LogLevelNames(), ", "))
				}
				if len(args) == 1 {
					if err := d.SetLogLevel(ctx, args[0]); err != nil {
						return failure(err, "set log level")
					}
					return nil
				}
				level, err := d.LogLevel(ctx)
				if err != nil {
					return failure(err, "get log level")
				}
				c.line(clean(level))
				return nil
			})
		},
	}
}
