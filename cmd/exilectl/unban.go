package main

import (
	"cmp"
	"context"
	"errors"
	"net/netip"

	"github.com/spf13/cobra"

	"exile/dbusapi"
)

func newUnbanCommand(o *options) *cobra.Command {
	var jail string
	var all bool
	cmd := &cobra.Command{
		Use:               "unban ADDRESS... | --all",
		Short:             "Lift the bans of addresses or networks",
		ValidArgsFunction: completeBanned(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("say which addresses, or --all")
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if all {
					return o.unbanAll(ctx, d, c, jail)
				}
				return each(args, func(addr string) error { return o.unban(ctx, d, c, jail, addr) })
			})
		},
	}
	cmd.Flags().StringVar(&jail, "jail", "", "Lift bans of `JAIL` only")
	cmd.Flags().BoolVar(&all, "all", false, "Lift every ban")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

func (o *options) unban(ctx context.Context, d daemon, c *console, jail, addr string) error {
	p, err := dbusapi.ParsePrefix(addr)
	if err != nil {
		return failure(err, "unban %s", addr)
	}
	n, err := d.Unban(ctx, jail, p)
	if err != nil {
		return failure(err, "unban %s", addr)
	}
	o.note(c, "Unbanned %s (%s).", dbusapi.FormatPrefix(p), plural(n, "bans"))
	return nil
}

func (o *options) unbanAll(ctx context.Context, d daemon, c *console, jail string) error {
	n, err := d.Unban(ctx, jail, netip.Prefix{})
	if err != nil {
		return failure(err, "lift the bans of %s", cmp.Or(jail, "all jails"))
	}
	o.note(c, "Lifted %s.", plural(n, "bans"))
	return nil
}
