package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"exile/dbusapi"
	"exile/internal/control"
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
	askingFlag(cmd, o)
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

func (o *options) unban(ctx context.Context, d daemon, c *console, jail, addr string) error {
	p, err := dbusapi.ParsePrefix(addr)
	if err != nil {
		return failure(err, "unban %s", addr)
	}
	bans := touching(ctx, d, jail, p)
	n, err := d.Unban(ctx, jail, p)
	if err != nil {
		return failure(err, "unban %s", addr)
	}
	switch {
	case n == 0:
		o.note(c, "%s was not banned.", dbusapi.FormatPrefix(p))
	case n != len(bans) || n > maxNamed:
		o.note(c, "Unbanned %s (%s).", dbusapi.FormatPrefix(p), plural(n, "bans"))
	default:
		for _, b := range bans {
			o.note(c, "Unbanned %s in jail %s.", dbusapi.FormatPrefix(b.Prefix), b.Jail)
		}
	}
	return nil
}

// maxNamed is how many lifted bans are named one by one.
const maxNamed = 10

// touching are the bans that an unban of p lifts, for root, who may list them without being asked for a password, and if they are
// not too many to be named.
func touching(ctx context.Context, d daemon, jail string, p netip.Prefix) []control.Ban {
	if os.Geteuid() != 0 {
		return nil
	}
	var bans []control.Ban
	if p.IsSingleIP() {
		a, err := d.Address(ctx, p)
		if err != nil {
			return nil // the unban will say why
		}
		return slices.DeleteFunc(a.Bans, func(b control.Ban) bool { return jail != "" && b.Jail != jail })
	}
	_ = d.EachBan(ctx, jail, func(b control.Ban) error { // likewise
		if b.Prefix.Overlaps(p) {
			bans = append(bans, b)
		}
		if len(bans) > maxNamed {
			return errEnough
		}
		return nil
	})
	return bans
}

var errEnough = errors.New("enough")

// sure asks at a terminal whether many bans are to be lifted: a flush pardons whom it frees, and nothing brings the bans back.
func (o *options) sure(ctx context.Context, d control.Reader, jail string) error {
	if o.yes || !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
		return nil
	}
	n, err := bannedIn(ctx, d, jail)
	if err != nil || n <= maxNamed {
		return nil // the flush will say what is wrong
	}
	fmt.Printf("Lift %s of %s? [y/N] ", plural(n, "bans"), clean(cmp.Or(jail, "all jails")))
	answer, _ := bufio.NewReader(io.LimitReader(os.Stdin, 1024)).ReadString('\n') // an error leaves it empty, which is a no
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was lifted; --yes does not ask")
	}
	return nil
}

// bannedIn is how many bans a jail has, or all of them.
func bannedIn(ctx context.Context, d control.Reader, jail string) (int, error) {
	if jail == "" {
		s, err := d.Status(ctx)
		return s.Banned, err
	}
	jails, err := d.Jails(ctx)
	i := slices.IndexFunc(jails, func(j control.JailStatus) bool { return j.Name == jail })
	if err != nil || i < 0 {
		return 0, err
	}
	return jails[i].Banned, nil
}

func (o *options) unbanAll(ctx context.Context, d daemon, c *console, jail string) error {
	if err := o.sure(ctx, d, jail); err != nil {
		return err
	}
	n, err := d.Unban(ctx, jail, netip.Prefix{})
	if err != nil {
		return failure(err, "lift the bans of %s", cmp.Or(jail, "all jails"))
	}
	o.note(c, "Lifted %s.", plural(n, "bans"))
	return nil
}
