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

	"exile/internal/control"
	"exile/internal/human"
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

func newFlushCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "flush [JAIL...]",
		Short:             "Lift all bans of some or all jails",
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, jails []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if len(jails) == 0 {
					return o.unbanAll(ctx, d, c, "")
				}
				return each(jails, func(jail string) error { return o.unbanAll(ctx, d, c, jail) })
			})
		},
	}
	askingFlag(cmd, o)
	return cmd
}

// askingFlag gives a verb that lifts many bans the option to skip its question.
func askingFlag(cmd *cobra.Command, o *options) {
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "Do not ask before lifting many bans")
}

func (o *options) unban(ctx context.Context, d daemon, c *console, jail, addr string) error {
	p, err := control.ParsePrefix(addr)
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
		o.note(c, "%s was not banned.", control.FormatPrefix(p))
	case n != len(bans) || n > maxNamed:
		o.note(c, "Unbanned %s (%s).", control.FormatPrefix(p), human.Count(n, "bans"))
	default:
		for _, b := range bans {
			o.note(c, "Unbanned %s in jail %s.", control.FormatPrefix(b.Prefix), b.Jail)
		}
	}
	return nil
}

// maxNamed is how many lifted bans are listed one by one.
const maxNamed = 10

// touching returns the bans that an unban of p will lift: only for root, who may list them without a password, and only if
// they are few enough to list.
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

// sure asks at a terminal before lifting many bans: a flush pardons the addresses, and nothing brings the bans back.
func (o *options) sure(ctx context.Context, d control.Reader, jail string) error {
	if o.yes || !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
		return nil
	}
	n, err := bannedIn(ctx, d, jail)
	if err != nil || n <= maxNamed {
		return nil // the flush will say what is wrong
	}
	fmt.Printf("Lift %s of %s? [y/N] ", human.Count(n, "bans"), clean(cmp.Or(jail, "all jails")))
	answer, _ := bufio.NewReader(io.LimitReader(os.Stdin, 1024)).ReadString('\n') // an error leaves it empty, which means no
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was lifted; use --yes to skip the question")
	}
	return nil
}

// bannedIn returns how many bans a jail has, or all jails together.
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
	o.note(c, "Lifted %s.", human.Count(n, "bans"))
	return nil
}
