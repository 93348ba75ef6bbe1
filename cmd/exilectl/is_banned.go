package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

// The exit statuses of is-banned, similar to those of systemctl is-active.
const (
	exitNotBanned   = 3
	exitNoSuchJail  = 4
	exitNotEnforced = 5
)

func newIsBannedCommand(o *options) *cobra.Command {
	var jail string
	cmd := &cobra.Command{
		Use:   "is-banned ADDRESS...",
		Short: "Check whether any of the addresses is banned",
		Long: "Check whether any of the addresses is banned: exit status 0 if so, 3 if not, 4 if there is no such jail, 5 if so but the kernel " +
			"does not enforce it.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeBanned(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.attended(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if err := checkJail(ctx, d, jail); err != nil {
					return err
				}
				any := false
				err := each(args, func(addr string) error {
					banned, err := o.isBanned(ctx, d, c, addr, jail)
					any = any || banned
					return err
				})
				if err != nil {
					return err
				}
				if !any {
					return &exitError{status: exitNotBanned}
				}
				return enforced(ctx, d)
			})
		},
	}
	cmd.Flags().StringVar(&jail, "jail", "", "Check only the bans of `JAIL`")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

// enforced returns an error with its own status if bans exist that the kernel does not have.
func enforced(ctx context.Context, d control.Reader) error {
	s, err := d.Status(ctx)
	switch {
	case err != nil:
		return failure(err, "look up whether bans are enforced")
	case s.State == control.Paused:
		return &exitError{exitNotEnforced, errors.New("not enforced: exiled is paused, see exilectl status")}
	case slices.Contains(s.Degraded, control.BackendFailed):
		return &exitError{exitNotEnforced, errors.New("not enforced: the kernel refused a change, see exilectl status")}
	}
	return nil
}

func checkJail(ctx context.Context, d control.Reader, name string) error {
	if name == "" {
		return nil
	}
	jails, err := d.Jails(ctx)
	if err != nil {
		return failure(err, "list jails")
	}
	if _, err := control.FindJail(jails, name); err != nil {
		return &exitError{exitNoSuchJail, failure(err, "look up bans")}
	}
	return nil
}

func (o *options) isBanned(ctx context.Context, d control.Reader, c *console, addr, jail string) (bool, error) {
	p, err := control.ParsePrefix(addr)
	if err != nil {
		return false, failure(err, "look up %s", addr)
	}
	a, err := d.Address(ctx, p)
	if err != nil {
		return false, failure(err, "look up %s", addr)
	}
	bans := slices.DeleteFunc(a.Bans, func(b control.Ban) bool { return b.Simulated || jail != "" && b.Jail != jail })
	o.note(c, "%s", banned(bans))
	return len(bans) > 0, nil
}

// banned says whether an address is banned, and whether only because of others in its network.
func banned(bans []control.Ban) string {
	switch {
	case len(bans) == 0:
		return "not banned"
	case slices.ContainsFunc(bans, func(b control.Ban) bool { return b.Origin != control.OriginGroup }):
		return "banned"
	}
	return "banned with all of " + control.FormatPrefix(bans[0].Prefix)
}
