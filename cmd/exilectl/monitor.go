package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/control"
	"exile/internal/human"
)

func newMonitorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "monitor",
		Short: "Print bans and unbans as they happen, one per line",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.lost = func(why error) {
				fmt.Fprintln(os.Stderr, sentences(why.Error())+": events are not shown until it is back")
			}
			d, err := o.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer d.Close()
			c := o.newConsole(os.Stdout)
			ctx, cancel := context.WithCancelCause(cmd.Context())
			err = d.Watch(ctx, func(e control.Event) {
				if err := errors.Join(c.writeEvent(e), c.Flush()); err != nil {
					cancel(err) // the reader is gone
				}
			})
			if err != nil {
				return failure(err, "watch bans")
			}
			if err := context.Cause(ctx); err != nil && cmd.Context().Err() == nil && !isClosedPipe(err) {
				return failure(err, "write output")
			}
			return nil
		},
	}
}

// writeEvent prints one line.
func (c *console) writeEvent(e control.Event) error {
	if c.wantJSON() {
		c.json = jsonShort // one line per event
		return c.document(control.Document(&e))
	}
	c.line(c.eventLine(e))
	return nil
}

func (c *console) eventLine(e control.Event) string {
	return e.Time.Local().Format(time.DateTime) + " " + c.eventText(e)
}

func (c *console) eventText(e control.Event) string {
	addr, jail, reason := control.FormatPrefix(e.Ban.Prefix), clean(jailOf(e.Ban)), clean(e.Reason)
	switch e.Kind {
	case control.BansRemoved:
		return fmt.Sprintf("%s %s at once by %s: %s", c.paint(green, "unban"), human.Count(e.Count, "addresses"), jail, reason)
	case control.BanRemoved:
		return fmt.Sprintf("%s %s by %s: %s", c.paint(green, "unban"), addr, jail, reason)
	case control.Protected:
		return fmt.Sprintf("%s %s by %s, %s: %s", c.paint(yellow, "spare"), addr, jail, human.Count(e.Ban.Failures, "failures"), reason)
	}
	text := fmt.Sprintf("%s   %s by %s, %s, left: %s, origin: %s", c.paint(red, "ban"), addr, jail,
		human.Count(e.Ban.Failures, "failures"), lasting(e), clean(string(e.Ban.Origin)))
	if e.Ban.Reason != "" {
		text += ": " + clean(e.Ban.Reason)
	}
	return text
}

// lasting is how long a ban lasts from its announcement, which comes a moment after the ban began.
func lasting(e control.Event) string {
	if e.Ban.Until.IsZero() {
		return left(e.Ban.Until, e.Time)
	}
	return human.Span(max(e.Ban.Until.Sub(e.Time), 0).Round(time.Second))
}
