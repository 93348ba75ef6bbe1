package main

import (
	"fmt"
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
			cfg, err := loadConfig(args)
			if err != nil {
				return err
			}
			c := o.newConsole(os.Stdout)
			o.note(c, "The configuration is valid.")
			for i := range cfg.Jails {
				o.note(c, "%s", ruleOf(cfg, &cfg.Jails[i]))
			}
			return flush(c)
		},
	}
}

// ruleOf says what a jail does, and by what its detection was chosen.
func ruleOf(cfg *config.Config, j *config.Jail) string {
	if !j.Enabled {
		return fmt.Sprintf("Jail %s is not enabled (%s).", clean(j.Name), clean(cfg.Origin(j.Name, "enabled")))
	}
	return fmt.Sprintf("Jail %s: detection %s (%s), %s.", clean(j.Name), j.Detection, clean(cfg.Why(j.Name)), j.Rule())
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
