package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newForgetCommand(o *options) *cobra.Command {
	var jail string
	var name bool
	cmd := &cobra.Command{
		Use:   "forget ADDRESS|NAME...",
		Short: "Forget what was counted for addresses or learned about user names",
		Long: "Forget the failures and past offences of addresses (their bans stay), or what was learned about user names.\n" +
			"A word that looks like an address is taken for one, unless you use --name.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeNames(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				return each(args, func(word string) error { return o.forget(ctx, d, c, jail, word, name) })
			})
		},
	}
	cmd.Flags().StringVar(&jail, "jail", "", "Forget in `JAIL` only")
	cmd.Flags().BoolVar(&name, "name", false, "Take every word for a user name")
	completeFlag(cmd, "jail", completeJails(o))
	return cmd
}

func (o *options) forget(ctx context.Context, d control.Learner, c *console, jail, word string, name bool) error {
	known, err := forgetWord(ctx, d, jail, word, name)
	switch {
	case err != nil:
		return failure(err, "forget %s", word)
	case known:
		o.note(c, "Forgot %s.", word)
	default:
		o.note(c, "Nothing was known about %s.", word)
	}
	return nil
}

func forgetWord(ctx context.Context, d control.Learner, jail, word string, name bool) (bool, error) {
	if p, err := control.ParsePrefix(word); err == nil && !name {
		return d.ForgetAddress(ctx, jail, p)
	}
	user, err := control.ParseName(word)
	if err != nil {
		return false, err
	}
	return d.ForgetName(ctx, jail, user)
}

// completeNames offers only names that no shell takes for anything but a word: attackers chose them.
func completeNames(o *options) completer {
	return complete(o, func(ctx context.Context, d daemon, _ string) ([]string, error) {
		names, err := d.Names(ctx, "")
		var out []string
		for _, n := range names {
			if plainWord(string(n.Name)) {
				out = append(out, string(n.Name))
			}
		}
		return out, err
	})
}

// plainWord reports whether a text means itself to every shell, and is not an option.
func plainWord(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r) && (r < '0' || '9' < r) && !strings.ContainsRune("._-@", r)
	})
}
