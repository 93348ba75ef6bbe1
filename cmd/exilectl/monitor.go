package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"exile/dbusapi"
	"exile/internal/control"
)

func newMonitorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "monitor",
		Short: "Print bans and unbans as they happen, one a line",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.lost = func(why error) {
				fmt.Fprintln(os.Stderr, sentences(why.Error())+": what happens until it is back is not shown")
			}
			d, err := o.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer d.Close()
			c := o.newConsole(os.Stdout)
			ctx, cancel := context.WithCancelCause(cmd.Context())
			err = d.Watch(ctx, func(e control.Event) {
				if err := c.event(e); err != nil {
					cancel(err) // nobody reads any more
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

// eventRow is an event in JSON.
type eventRow struct {
	Time     int64  `json:"time"`
	Event    string `json:"event"`
	Address  string `json:"address"`
	Jail     string `json:"jail"`
	Until    *int64 `json:"until,omitempty"`
	Failures int    `json:"failures,omitempty"`
	Origin   string `json:"origin,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// event prints one line at once.
func (c *console) event(e control.Event) error {
	if c.wantJSON() {
		c.json = jsonShort // one line each
		if err := c.document(eventRow{
			Time: e.Time.UnixMicro(), Event: string(e.Kind), Address: dbusapi.FormatPrefix(e.Ban.Prefix), Jail: e.Ban.Jail,
			Until: micros(e.Ban.Until), Failures: e.Ban.Failures, Origin: string(e.Ban.Origin), Reason: e.Reason,
		}); err != nil {
			return err
		}
		return c.Flush()
	}
	c.line(c.eventLine(e))
	return c.Flush()
}

func (c *console) eventLine(e control.Event) string {
	head := e.Time.Local().Format(time.DateTime)
	addr, jail := dbusapi.FormatPrefix(e.Ban.Prefix), clean(e.Ban.Jail)
	if e.Kind == control.BanRemoved {
		return fmt.Sprintf("%s %s %s by %s: %s", head, c.paint(green, "unban"), addr, jail, clean(e.Reason))
	}
	return fmt.Sprintf("%s %s   %s by %s, %s, left: %s, origin: %s", head, c.paint(red, "ban"), addr, jail,
		plural(e.Ban.Failures, "failures"), left(e.Ban.Until, e.Time), clean(string(e.Ban.Origin)))
}
