package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"exile/internal/control"
	"exile/internal/human"
)

func newImportCommand(o *options) *cobra.Command {
	var all, permanent bool
	var dir, jail, duration string
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Ban the addresses of an export or a list, or restore the state",
		Long: "Ban the addresses and networks of an export, or of a list with one per line. The rest of a line is ignored, and so are\n" +
			"comments after # or ; and empty lines. A ban without an end lasts for the jail's bantime. Of an export, how often\n" +
			"addresses were banned is taken over, too, so that their next bans are as long as they would have been.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := importRequest(jail, duration, permanent)
			if err != nil {
				return err
			}
			in := io.NopCloser(os.Stdin)
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return failure(err, "import")
				}
				in = f
			}
			defer in.Close()
			if all && (asked != control.BanRequest{}) {
				return errors.New("--jail, --duration and --permanent are for lists, not for --state")
			}
			if all {
				return o.importState(in, dir)
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				n, past, err := importBans(ctx, d, in, asked, c.now)
				what := human.Count(n, "bans")
				if past > 0 {
					what += " and the past of " + human.Count(past, "addresses")
				}
				o.note(c, "Imported %s.", what)
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&dir, "directory", "D", "", "Import the state into `DIR` instead of the configured one")
	completeFlag(cmd, "directory", completeFiles)
	cmd.Flags().StringVar(&jail, "jail", "", "Ban addresses without a jail in `JAIL`, not in the first one")
	cmd.Flags().StringVar(&duration, "duration", "", "Ban addresses without an end for `TIME` (10m, 1d, forever)")
	cmd.Flags().BoolVar(&permanent, "permanent", false, "Ban addresses without an end for ever")
	completeFlag(cmd, "jail", completeJails(o))
	cmd.Flags().BoolVar(&all, "state", false, "Replace exiled's state by an export --state; exiled must not run")
	return cmd
}

// An import sends its bans in changes of importMany, several at a time: the daemon carries out one while others are on their
// way.
const (
	importMany   = 200
	importAtOnce = 4
)

// importRequest is what the options say about anything that a list leaves open.
func importRequest(jail, duration string, permanent bool) (r control.BanRequest, err error) {
	r = control.BanRequest{Jail: jail, Permanent: permanent}
	if duration == "" {
		return r, nil
	}
	if permanent {
		return r, errors.New("--duration and --permanent exclude each other")
	}
	r.Duration, r.Permanent, err = parseBanTime(duration)
	return r, err
}

// importBans stops at the first line that is not a ban, and at the first ban that the daemon refuses, unless the address is
// protected there. It returns the number of bans requested, and of the addresses whose history was handed over.
func importBans(ctx context.Context, d control.Writer, in io.Reader, asked control.BanRequest, now time.Time) (n, past int, err error) {
	list := newBanList(in, asked, now)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(importAtOnce)
	var end error
	for end == nil && ctx.Err() == nil {
		var all []listed
		all, end = list.some(importMany)
		requests, offenders := apart(all)
		n += len(requests)
		past += len(offenders)
		g.Go(func() error { return errors.Join(banAll(ctx, d, requests), rememberAll(ctx, d, offenders)) })
	}
	if end == nil || errors.Is(end, io.EOF) {
		return n, past, g.Wait()
	}
	return n, past, errors.Join(fmt.Errorf("failed to import %w", end), g.Wait())
}

// apart tells what still holds from what is history.
func apart(all []listed) (requests []control.BanRequest, offenders []control.Offender) {
	for _, l := range all {
		if !l.over {
			requests = append(requests, l.BanRequest)
		}
		if l.past.Offences > 0 {
			offenders = append(offenders, l.past)
		}
	}
	return requests, offenders
}

func rememberAll(ctx context.Context, d control.Writer, offenders []control.Offender) error {
	if len(offenders) == 0 {
		return nil
	}
	refused, err := d.Remember(ctx, offenders)
	if err != nil {
		return failure(err, "hand over the history of %d addresses", len(offenders))
	}
	for i, err := range refused {
		if err != nil {
			return failure(err, "hand over the history of %s", control.FormatPrefix(offenders[i].Prefix))
		}
	}
	return nil
}

func banAll(ctx context.Context, d control.Writer, requests []control.BanRequest) error {
	if len(requests) == 0 {
		return nil
	}
	refused, err := d.BanMany(ctx, requests)
	if err != nil {
		return failure(err, "ban %d addresses", len(requests))
	}
	for i, err := range refused {
		if err != nil && !errors.Is(err, control.ErrProtected) {
			return failure(err, "ban %s", control.FormatPrefix(requests[i].Prefix))
		}
	}
	return nil
}
