package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

// This file says what a shell is offered for arguments and for the values of options.

// completionTime limits how long a shell waits for the daemon.
const completionTime = 2 * time.Second

// maxCompletions is how many addresses a shell is offered at most.
const maxCompletions = 1000

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeJails offers the daemon's jails.
func completeJails(o *options) completer { return complete(o, jailNames) }

// completeBanned offers banned addresses.
func completeBanned(o *options) completer { return complete(o, bannedAddresses) }

// completeEither offers both.
func completeEither(o *options) completer {
	return complete(o, func(ctx context.Context, d daemon, begin string) ([]string, error) {
		jails, err := jailNames(ctx, d, begin)
		addresses, err2 := bannedAddresses(ctx, d, begin)
		return append(jails, addresses...), errors.Join(err, err2)
	})
}

func jailNames(ctx context.Context, d daemon, _ string) ([]string, error) {
	jails, err := d.Jails(ctx)
	var names []string
	for _, j := range jails {
		names = append(names, clean(j.Name))
	}
	return names, err
}

// bannedAddresses searches the whole list for addresses with that beginning, however long it is: the time is limited.
func bannedAddresses(ctx context.Context, d daemon, begin string) (out []string, err error) {
	enough := errors.New("enough")
	offered := map[string]bool{} // several jails may ban the same one
	err = control.EachBan(ctx, d, control.Page{Max: pageSize}, func(b control.Ban) error {
		if address := control.FormatPrefix(b.Prefix); strings.HasPrefix(address, begin) && !offered[address] {
			offered[address] = true
			out = append(out, address)
		}
		if len(out) == maxCompletions {
			return enough
		}
		return nil
	})
	return out, err
}

// complete asks the daemon, without a password; if the daemon cannot be asked, it offers nothing. f gets what was typed.
func complete(o *options, f func(ctx context.Context, d daemon, begin string) ([]string, error)) completer {
	return func(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
		o.noAsk = true
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		d, err := o.dial(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer d.Close()
		words, _ := f(ctx, d, begin) // those found so far
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeProperties offers the properties of the first jail that was typed, or of the daemon.
func completeProperties(o *options) completer {
	return func(cmd *cobra.Command, jails []string, begin string) ([]string, cobra.ShellCompDirective) {
		return complete(o, func(ctx context.Context, d daemon, _ string) (names []string, _ error) {
			props, err := d.Properties(ctx, strings.Join(jails[:min(len(jails), 1)], ""))
			for _, p := range props {
				names = append(names, clean(p.Name))
			}
			return names, err
		})(cmd, jails, begin)
	}
}

// completeFiles lets the shell offer files.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// completeWords offers these words.
func completeWords(words ...string) completer {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// completeFlag sets the completions for the value of an option.
func completeFlag(cmd *cobra.Command, name string, f completer) {
	if err := cmd.RegisterFlagCompletionFunc(name, f); err != nil {
		panic("exilectl: " + err.Error()) // the option does not exist, or was set before
	}
}
