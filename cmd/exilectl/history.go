package main

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/announce"
	"exile/internal/control"
	"exile/journal/follow"
)

func newHistoryCommand(o *options) *cobra.Command {
	var dir string
	var when periodFlags
	var sums sumFlags
	cmd := &cobra.Command{
		Use:   "history [ADDRESS...]",
		Short: "Show past bans and unbans from the journal, or sums",
		Long: "Show the bans and unbans in the journal, also past ones: all, or those of addresses and of the networks around and in them.\n" +
			"Needs the right to read the journal, but no daemon. With --by, sum up attempts and bans of the days that the daemon keeps, at most\n" +
			"366, and with --since also from the journal before them; with --directory only from these files.",
		ValidArgsFunction: completeBanned(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := sums.check(cmd, args); err != nil {
				return err
			}
			during, err := when.read(time.Now())
			if err != nil {
				return err
			}
			if sums.by != "" {
				return o.sumUp(cmd.Context(), &sums, dir, during)
			}
			about, err := parsePrefixes(args)
			if err != nil {
				return err
			}
			log, err := openHistory(dir, during)
			if err != nil {
				return failure(err, "read the journal")
			}
			defer log.close()
			if err := o.paged(func(c *console) error { return printHistory(c, log, about) }); err != nil {
				return failure(err, "read the journal")
			}
			for _, trouble := range log.troubles {
				fmt.Fprintln(os.Stderr, quoteLines(sentences(trouble)))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&dir, "directory", "D", "", "Read the journal files in `DIR`")
	completeFlag(cmd, "directory", completeFiles)
	when.register(cmd, "what happened")
	sums.register(cmd, o)
	return cmd
}

func parsePrefixes(args []string) (out []netip.Prefix, _ error) {
	for _, a := range args {
		p, err := control.ParsePrefix(a)
		if err != nil {
			return nil, failure(err, "look up %s", a)
		}
		out = append(out, p)
	}
	return out, nil
}

// openHistory opens the journal files of a directory or, if none is named, of this host.
func openHistory(dir string, during period) (*history, error) {
	if dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return nil, err
		}
		return newHistory([]string{dir}, ofEvents(nil), during)
	}
	dirs, err := follow.SystemDirs("")
	if err != nil {
		return nil, err
	}
	return newHistory(dirs, ofEvents(daemonUsers()), during)
}

// printHistory prints events about one of the prefixes, or all if there are none. A sum does not say which addresses it
// covers.
func printHistory(c *console, log *history, about []netip.Prefix) error {
	for {
		e, fields, ok := log.next()
		if !ok {
			return nil
		}
		event, ok := announce.Read(e, fields)
		concerns := func(p netip.Prefix) bool { return p.Overlaps(event.Ban.Prefix) }
		if !ok || len(about) > 0 && event.Kind != control.BansRemoved && !slices.ContainsFunc(about, concerns) {
			continue
		}
		if err := c.writeEvent(event); err != nil {
			return err
		}
	}
}
