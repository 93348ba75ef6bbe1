package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"exile/dbusapi/client"
)

func newReloadCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Read the configuration again",
		Long:  "Read the configuration again. Returns when it is in force; a configuration with a mistake changes nothing.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.attended(cmd.Context(), func(ctx context.Context, d daemon, _ *console) error {
				if err := d.Reload(ctx); err != nil {
					return failure(err, "reload")
				}
				return nil
			})
		},
	}
}

func newResetFirewallCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-firewall",
		Short: "Remove everything of exile's from the kernel and restore the bans",
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

func newLogLevelCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:       "log-level [LEVEL]",
		Short:     "Show or set how much the daemon logs",
		Long:      "Show or set how much the daemon logs: " + strings.Join(client.LogLevelNames(), ", ") + ".",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: client.LogLevelNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.attended(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if len(args) == 1 && !slices.Contains(client.LogLevelNames(), args[0]) {
					return fmt.Errorf("unknown log level %q: use %s", args[0], strings.Join(client.LogLevelNames(), ", "))
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
