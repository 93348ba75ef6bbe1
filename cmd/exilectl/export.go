package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"exile/dbusapi"
	"exile/internal/control"
)

func newExportCommand(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:               "export [JAIL]",
		Short:             "Write bans, or the whole state, for import",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			var jail string
			if len(args) == 1 {
				jail = args[0]
			}
			if all && jail != "" {
				return errors.New("the state is that of all jails")
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if all {
					return exportState(ctx, d, c)
				}
				c.json = jsonShort
				if err := d.EachBan(ctx, jail, func(b control.Ban) error { return c.document(toBanRow(b)) }); err != nil {
					return failure(err, "export bans")
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&all, "state", false, "Write all that the daemon keeps on disk")
	return cmd
}

func newImportCommand(o *options) *cobra.Command {
	var all bool
	var dir string
	cmd := &cobra.Command{
		Use:               "import [FILE]",
		Short:             "Ban what export has written, or restore the state",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := io.NopCloser(os.Stdin)
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return failure(err, "import")
				}
				in = f
			}
			defer in.Close()
			if all {
				return o.importState(in, dir)
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				n, err := importBans(ctx, d, in, c.now)
				o.note(c, "Imported %s.", plural(n, "bans"))
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&dir, "directory", "D", "", "Import the state into `DIR` instead of the configured one")
	completeFlag(cmd, "directory", completeFiles)
	cmd.Flags().BoolVar(&all, "state", false, "Make what export --state has written the state of exiled, which must not run")
	return cmd
}

// What is under way of an import: so many bans a change, and so many changes, of which the daemon carries out one while the
// others travel.
const (
	importMany   = 200
	importAtOnce = 4
)

// importBans stops at the first line that is not a ban, and at the first ban that the daemon refuses for another reason
// than that the address is protected here. It returns how many bans it asked for.
func importBans(ctx context.Context, d control.Writer, in io.Reader, now time.Time) (int, error) {
	dec := json.NewDecoder(in)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(importAtOnce)
	n := 0
	var end error
	for end == nil && ctx.Err() == nil {
		var requests []control.BanRequest
		requests, end = nextBans(dec, now)
		n += len(requests)
		g.Go(func() error { return banAll(ctx, d, requests) })
	}
	if end == nil || errors.Is(end, io.EOF) {
		return n, g.Wait()
	}
	return n, errors.Join(fmt.Errorf("failed to import ban %d: %w", n+1, end), g.Wait())
}

// nextBans reads some of what export has written, without the bans that are over. At the end it returns io.EOF.
func nextBans(dec *json.Decoder, now time.Time) (out []control.BanRequest, err error) {
	for len(out) < importMany {
		var row banRow
		if err := dec.Decode(&row); err != nil {
			return out, err
		}
		r, ok, err := row.request(now)
		if err != nil {
			return out, err
		}
		if ok {
			out = append(out, r)
		}
	}
	return out, nil
}

func banAll(ctx context.Context, d control.Writer, requests []control.BanRequest) error {
	refused, err := d.BanMany(ctx, requests)
	if err != nil {
		return failure(err, "ban %d addresses", len(requests))
	}
	for i, err := range refused {
		if err != nil && !errors.Is(err, control.ErrProtected) {
			return failure(err, "ban %s", dbusapi.FormatPrefix(requests[i].Prefix))
		}
	}
	return nil
}

// request is false for a ban that is over.
func (r banRow) request(now time.Time) (control.BanRequest, bool, error) {
	p, err := dbusapi.ParsePrefix(r.Address)
	out := control.BanRequest{Jail: r.Jail, Prefix: p, Reason: clean(r.Reason), Permanent: r.Until == nil}
	if err != nil || out.Permanent {
		return out, err == nil, err
	}
	out.Duration = time.UnixMicro(*r.Until).Sub(now)
	return out, out.Duration > 0, nil
}
