package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/human"
)

func newPauseCommand(o *options) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:   "pause TIME | --off",
		Short: "Suspend all bans and ban nobody for a time",
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
					return errors.New("a pause cannot be unlimited: say for how long (like 10m), or --off")
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
			o.note(c, "Banning has resumed.")
			return nil
		}
		o.note(c, "Banning is paused for %s, and no ban is in force. To end the pause earlier, run exilectl pause --off.", human.Span(length))
		return nil
	})
}
