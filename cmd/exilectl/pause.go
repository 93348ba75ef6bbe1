package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
)

func newPauseCommand(o *options) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:   "pause TIME | --off",
		Short: "Put every ban out of force and ban nobody for a time",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if off == (len(args) == 1) {
				return errors.New("say for how long (like 10m), or --off")
			}
			var d time.Duration
			if !off {
				var endless bool
				var err error
				if d, endless, err = parseSpan(args[0]); err != nil {
					return err
				}
				if endless || d == 0 {
					return errors.New("a pause has an end: say for how long (like 10m), or --off")
				}
			}
			return o.pause(cmd.Context(), d)
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "End a pause")
	return cmd
}

func (o *options) pause(ctx context.Context, length time.Duration) error {
	return o.command(ctx, func(ctx context.Context, d daemon, c *console) error {
		if err := d.Pause(ctx, length); err != nil {
			return failure(err, "pause")
		}
		if length == 0 {
			o.note(c, "Banning again.")
			return nil
		}
		o.note(c, "No ban is in force for %s. They are in force again then, or with exilectl pause --off.", span(length))
		return nil
	})
}
