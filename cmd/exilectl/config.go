package main

import (
	"fmt"

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

// ruleOf says what a jail does, and what chose its detection.
func ruleOf(cfg *config.Config, j *config.Jail) string {
	if !j.Enabled {
		return fmt.Sprintf("Jail %s is not enabled (%s).", clean(j.Name), clean(cfg.Origin(j.Name, "enabled")))
	}
	return fmt.Sprintf("Jail %s: detection %s (%s), %s.", clean(j.Name), j.Detection, clean(cfg.Why(j.Name)), j.Rule())
}

// loadConfig reads the files of this host as the daemon does, or only the named one. The error has one line per mistake.
func loadConfig(args []string) (*config.Config, error) { return config.Load(configSources(args)) }

func configSources(args []string) (from config.Sources) {
	if len(args) == 1 {
		from.File = args[0]
	}
	return from
}
