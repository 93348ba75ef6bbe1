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
		Use:   "import [FILE]",
		Short: "Ban what export has written, or restore the state",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := io.NopCloser(os.Stdin)
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
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
	cmd.Flags().BoolVar(&all, "state", false, "Make what export --state has written the state of exiled, which must not run")
	return cmd
}

// importAtOnce is how many bans are under way: a ban returns when it is in the kernel, and the daemon takes many at once.
const importAtOnce = 32

// importBans stops at the first line that is not a ban, and at the first ban that the daemon refuses for another reason
// than that the address is protected here.
func importBans(ctx context.Context, d control.Writer, in io.Reader, now time.Time) (int, error) {
	dec := json.NewDecoder(in)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(importAtOnce)
	n := 0
	for ctx.Err() == nil {
		var row banRow
		err := dec.Decode(&row)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, errors.Join(fmt.Errorf("failed to import ban %d: %w", n+1, err), g.Wait())
		}
		r, ok, err := row.request(now)
		if err != nil {
			return n, errors.Join(fmt.Errorf("failed to import ban %d: %w", n+1, err), g.Wait())
		}
		if !ok {
			continue
		}
		n++
		g.Go(func() error {
			if _, err := d.Ban(ctx, r); err != nil && !errors.Is(err, control.ErrProtected) {
				return failure(err, "ban %s", dbusapi.FormatPrefix(r.Prefix))
			}
			return nil
		})
	}
	return n, g.Wait()
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
