package main

import (
	"os"

	"github.com/spf13/cobra"

	"exile/internal/config"
)

func newCatConfigCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "cat-config [FILE]",
		Short:             "Show the configuration as merged from its files",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := loadConfig(args)
			if err != nil {
				return err
			}
			return o.paged(func(c *console) error {
				c.line(quoteLines(cfg.YAML()))
				return nil
			})
		},
	}
}

func newCheckConfigCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "check-config [FILE]",
		Short:             "Check the configuration, or one file, for mistakes",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := loadConfig(args); err != nil {
				return err
			}
			c := o.newConsole(os.Stdout)
			o.note(c, "The configuration is valid.")
			return flush(c)
		},
	}
}

// loadConfig reads the files of this host as the daemon does, or only the one that is named. The error has a line for
// each mistake.
func loadConfig(args []string) (*config.Config, error) {
	var from config.Sources
	if len(args) == 1 {
		from.File = args[0]
	}
	return config.Load(from)
}
