package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

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
				d, permanent, err := parseBanTime(duration)
				if err != nil {
					return err
				}
				r.Duration, r.Permanent = d, permanent
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				jails, _ := d.Jails(ctx) // a caller who may ban need not be allowed to ask
				done := hasBanned(jails, jail)
				return each(args, func(addr string) error { return o.ban(ctx, d, c, r, addr, done) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&jail, "jail", "", "Ban in `JAIL` instead of the first one")
	f.StringVar(&duration, "duration", "", "Ban for `TIME` (10m, 1d, forever) instead of the jail's bantime")
	f.StringVar(&reason, "reason", "", "Give the reason in one line of `TEXT`")
	f.BoolVar(&force, "force", false, "Ban even a protected address")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

// parseBanTime reads --duration of a ban.
func parseBanTime(text string) (d time.Duration, permanent bool, err error) {
	d, permanent, err = parseSpan(text)
	if err == nil && d == 0 && !permanent {
		err = errors.New("a ban must last some time: omit --duration for the jail's bantime, or use infinity")
	}
	return d, permanent, err
}

func (o *options) ban(ctx context.Context, d daemon, c *console, r control.BanRequest, addr, done string) error {
	p, err := control.ParsePrefix(addr)
	if err != nil {
		return failure(err, "ban %s", addr)
	}
	r.Prefix = p
	b, err := d.Ban(ctx, r)
	if errors.Is(err, control.ErrProtected) {
		err = fmt.Errorf("%w (use --force to ban it anyway)", err)
	}
	if err != nil {
		return failure(err, "ban %s", addr)
	}
	length := "permanently"
	if !b.Until.IsZero() {
		length = "until " + stamp(b.Until)
	}
	o.note(c, "%s %s %s.", done, control.FormatPrefix(p), length)
	return nil
}

// hasBanned says what the jail has done by banning; the first jail if none is named.
func hasBanned(jails []control.JailStatus, name string) string {
	if name == "" && len(jails) > 0 {
		name = jails[0].Name
	}
	if slices.ContainsFunc(jails, func(j control.JailStatus) bool { return j.Name == name && j.State == control.Simulating }) {
		return "Jail " + name + " simulates: it would have banned"
	}
	return "Banned"
}

// each handles all arguments even if one fails, and joins the errors.
func each(args []string, f func(string) error) error {
	var errs []error
	for _, a := range args {
		errs = append(errs, f(a))
	}
	return errors.Join(errs...)
}
