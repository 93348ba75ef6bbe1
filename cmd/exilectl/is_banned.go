package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"exile/dbusapi"
	"exile/internal/control"
)

// The statuses of is-banned, as systemctl is-active has them.
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
		Long: "Check whether any of the addresses is banned: exit status 0 if so, 3 if not, 4 if there is no such jail, 5 if so and the kernel " +
			"does not enforce it.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeBanned(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				jails, err := d.Jails(ctx)
				if err != nil {
					return failure(err, "list jails")
				}
				if err := checkJail(jails, jail); err != nil {
					return err
				}
				any := false
				inForce := func(b control.Ban) bool { return inForce(jails, []control.Ban{b}, jail) }
				err = each(args, func(addr string) error {
					banned, err := o.isBanned(ctx, d, c, addr, inForce)
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
	cmd.Flags().StringVar(&jail, "jail", "", "Look at the bans of `JAIL` only")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

// enforced returns an error with a status of its own while bans are made and the kernel does not have them.
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

func checkJail(jails []control.JailStatus, name string) error {
	if name == "" {
		return nil
	}
	if _, err := control.FindJail(jails, name); err != nil {
		return &exitError{exitNoSuchJail, failure(err, "look up bans")}
	}
	return nil
}

func (o *options) isBanned(ctx context.Context, d control.Reader, c *console, addr string, inForce func(control.Ban) bool) (bool, error) {
	p, err := dbusapi.ParsePrefix(addr)
	if err != nil {
		return false, failure(err, "look up %s", addr)
	}
	a, err := d.Address(ctx, p)
	if err != nil {
		return false, failure(err, "look up %s", addr)
	}
	bans := slices.DeleteFunc(a.Bans, func(b control.Ban) bool { return !inForce(b) })
	o.note(c, "%s", banned(bans))
	return len(bans) > 0, nil
}

// banned says whether somebody is, and if only for what others in the network did.
func banned(bans []control.Ban) string {
	switch {
	case len(bans) == 0:
		return "not banned"
	case slices.ContainsFunc(bans, func(b control.Ban) bool { return b.Origin != control.OriginGroup }):
		return "banned"
	}
	return "banned with all of " + dbusapi.FormatPrefix(bans[0].Prefix)
}

// inForce reports whether any of the bans, or of those of one jail, is more than a simulation.
func inForce(jails []control.JailStatus, bans []control.Ban, jail string) bool {
	return slices.ContainsFunc(bans, func(b control.Ban) bool { return (jail == "" || b.Jail == jail) && !simulates(jails, b.Jail) })
}

// simulates reports whether a jail decides and tells of bans, and bans nobody.
func simulates(jails []control.JailStatus, name string) bool {
	return slices.ContainsFunc(jails, func(j control.JailStatus) bool { return j.Name == name && j.State == control.Simulating })
}
