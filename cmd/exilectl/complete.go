package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"exile/dbusapi"
	"exile/internal/control"
)

// completionTime bounds how long a shell waits for the daemon.
const completionTime = 2 * time.Second

// maxCompletions is how many addresses a shell is offered.
const maxCompletions = 1000

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeJails offers the names of the jails that the daemon has.
func completeJails(o *options) completer {
	return complete(o, func(ctx context.Context, d daemon) ([]string, error) {
		jails, err := d.Jails(ctx)
		var names []string
		for _, j := range jails {
			names = append(names, clean(j.Name))
		}
		return names, err
	})
}

// completeBanned offers banned addresses.
func completeBanned(o *options) completer {
	return complete(o, func(ctx context.Context, d daemon) ([]string, error) {
		bans, _, err := d.Bans(ctx, control.Page{Max: maxCompletions})
		var out []string
		for _, b := range bans {
			out = append(out, dbusapi.FormatPrefix(b.Prefix))
		}
		return out, err
	})
}

// complete asks the daemon, without a password; when it cannot be asked there is nothing to offer.
func complete(o *options, f func(context.Context, daemon) ([]string, error)) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		o.noAsk = true
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		d, err := o.dial(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer d.Close()
		words, _ := f(ctx, d)
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

func completeJailFlag(o *options, cmd *cobra.Command) {
	if err := cmd.RegisterFlagCompletionFunc("jail", completeJails(o)); err != nil {
		panic("exilectl: " + err.Error()) // a command without --jail asked for its completion
	}
}
