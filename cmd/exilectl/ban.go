package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"exile/dbusapi"
	"exile/internal/control"
)

func newBanCommand(o *options) *cobra.Command {
	var jail, duration, reason string
	var force bool
	cmd := &cobra.Command{
		Use:   "ban ADDRESS...",
		Short: "Ban addresses or networks",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := control.BanRequest{Jail: jail, Reason: reason, Force: force}
			if duration != "" {
				d, permanent, err := parseSpan(duration)
				if err == nil && d == 0 && !permanent {
					err = errors.New("a ban lasts for some time: leave out --duration for that of the jail, or say infinity")
				}
				if err != nil {
					return err
				}
				r.Duration, r.Permanent = d, permanent
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				return each(args, func(addr string) error { return o.ban(ctx, d, c, r, addr) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&jail, "jail", "", "Ban in `JAIL` instead of the first one")
	f.StringVar(&duration, "duration", "", "Ban for `TIME` (10m, 1d, infinity) instead of the jail's bantime")
	f.StringVar(&reason, "reason", "", "Say why in one line of `TEXT`")
	f.BoolVar(&force, "force", false, "Ban although the address is protected")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

func (o *options) ban(ctx context.Context, d daemon, c *console, r control.BanRequest, addr string) error {
	p, err := dbusapi.ParsePrefix(addr)
	if err != nil {
		return failure(err, "ban %s", addr)
	}
	r.Prefix = p
	b, err := d.Ban(ctx, r)
	if errors.Is(err, control.ErrProtected) {
		err = fmt.Errorf("%w (--force bans it all the same)", err)
	}
	if err != nil {
		return failure(err, "ban %s", addr)
	}
	if b.Until.IsZero() {
		o.note(c, "Banned %s permanently.", dbusapi.FormatPrefix(p))
		return nil
	}
	o.note(c, "Banned %s until %s.", dbusapi.FormatPrefix(p), stamp(b.Until))
	return nil
}

// each does all arguments, although one fails, and joins the errors.
func each(args []string, f func(string) error) error {
	var errs []error
	for _, a := range args {
		errs = append(errs, f(a))
	}
	return errors.Join(errs...)
}
