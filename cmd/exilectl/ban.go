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
			for _, a := range args {
				if _, _, err := parseSpan(a); err == nil {
					return fmt.Errorf("%q is a time, not an address: say how long a ban lasts with --duration=%s", a, a)
				}
			}
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
				jails, _ := d.Jails(ctx) // who may ban need not be one who may ask
				done := hasBanned(jails, jail)
				return each(args, func(addr string) error { return o.ban(ctx, d, c, r, addr, done) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&jail, "jail", "", "Ban in `JAIL` instead of the first one")
	f.StringVar(&duration, "duration", "", "Ban for `TIME` (10m, 1d, forever) instead of the jail's bantime")
	f.StringVar(&reason, "reason", "", "Say why in one line of `TEXT`")
	f.BoolVar(&force, "force", false, "Ban although the address is protected")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

func (o *options) ban(ctx context.Context, d daemon, c *console, r control.BanRequest, addr, done string) error {
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
	length := "permanently"
	if !b.Until.IsZero() {
		length = "until " + stamp(b.Until)
	}
	o.note(c, "%s %s %s.", done, dbusapi.FormatPrefix(p), length)
	return nil
}

// hasBanned is what a jail, the first one if none is named, has done when it has banned.
func hasBanned(jails []control.JailStatus, name string) string {
	if name == "" && len(jails) > 0 {
		name = jails[0].Name
	}
	if simulates(jails, name) {
		return "Jail " + name + " simulates: it would have banned"
	}
	return "Banned"
}

// each does all arguments, although one fails, and joins the errors.
func each(args []string, f func(string) error) error {
	var errs []error
	for _, a := range args {
		errs = append(errs, f(a))
	}
	return errors.Join(errs...)
}
