package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/human"
	"exile/internal/replay"
	"exile/internal/suggest"
)

func newSuggestCommand(o *options) *cobra.Command {
	var f replayFlags
	var a applyFlags
	cmd := &cobra.Command{
		Use:   "suggest",
		Short: "Try many rules on the log, and say which to take",
		Long: "Run the jails of the configuration over the journal or over logs, once with the rule that is configured and at the same time with 35 others\n" +
			"of maxretry, findtime, bantime and detection, and show which attempts each would have prevented, and how many of the addresses that\n" +
			"it would have banned had a login before or after. Recommends a rule that prevents more with no more of these, or says that the log\n" +
			"has too little to tell. Needs the right to read the log, but no daemon, and bans nobody.\n\n" +
			"With --apply root puts the recommended rule on trial: it is in force at once, and taken back after the time of --confirm unless you run\n" +
			"confirm first, which writes it into a drop-in below /etc/exile. Nothing changes if nothing is recommended.",
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if o.host != "" {
				return errors.New("suggest works on local files: run it on the other host")
			}
			return errors.Join(f.check(o.machine), a.check(o, &f))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			rep, err := o.suggest(cmd.Context(), &f)
			if err != nil || !a.apply {
				return err
			}
			return o.trySuggested(cmd.Context(), config.Sources{}, rep, a.length)
		},
	}
	f.registerLog(cmd, o)
	a.register(cmd)
	return cmd
}

// suggest has the daemon's program try the rules, and prints the answer.
func (o *options) suggest(ctx context.Context, f *replayFlags) (*suggest.Report, error) {
	c := o.newConsole(os.Stdout)
	rep, err := o.tried(ctx, f, c)
	if err != nil {
		return nil, err
	}
	if c.wantJSON() {
		err = c.document(rep)
	} else {
		printSuggestion(c, rep)
	}
	if err := errors.Join(err, flush(c)); err != nil {
		return nil, err
	}
	return rep, sayTroubles(rep.Troubles, rep.Interrupted)
}

// tried asks the daemon's program.
func (o *options) tried(ctx context.Context, f *replayFlags, c *console) (*suggest.Report, error) {
	asked, err := f.request(o, c)
	if err != nil {
		return nil, err
	}
	asked.Suggest, asked.Document = true, false
	rep := new(suggest.Report)
	_, ended, err := askReplay(ctx, asked, rep)
	if err != nil {
		return nil, err
	}
	return rep, ended()
}

// printSuggestion prints the table and what follows from it.
func printSuggestion(c *console, rep *suggest.Report) {
	between := ""
	if !rep.First.IsZero() {
		between = fmt.Sprintf(" from %s to %s", rep.First.Local().Format(time.DateTime), rep.Last.Local().Format(time.DateTime))
	}
	c.line(fmt.Sprintf("%s%s, on %s, for %s.", human.Count(rep.Entries, "entries"), between, human.Count(rep.Days, "days"), clean(strings.Join(rep.Jails, ", "))))
	c.line(fmt.Sprintf("%s from %s, and %s.", human.Count(rep.Attempts, "attempts"), human.Count(rep.Sources, "addresses"), human.Count(rep.Logins, "logins")))
	c.line("")
	printTried(c, rep)
	c.line("")
	printVerdict(c, rep)
}

func printTried(c *console, rep *suggest.Report) {
	t := table{
		columns: []column{{"", false}, {"PREVENTED", true}, {"BANS", true}, {"FALSE", true}, {"DENIED", true}, {"RULE", false}}, rows: len(rep.Rows),
		row: func(i int) []cell {
			row := &rep.Rows[i]
			mark, color := "", ""
			if rep.Verdict != suggest.TooLittle && rep.Verdict != suggest.Incomplete && i == rep.Best {
				mark, color = "*", green
			}
			return []cell{
				{mark, color},
				{share(row.Prevented, rep.Attempts), color},
				text(strconv.Itoa(row.Bans)),
				falseBans(row.FalseBans),
				text(strconv.FormatUint(row.Denied, 10)),
				{clean(row.Rule), color},
			}
		},
	}
	t.print(c)
	if c.legend {
		c.line("")
		c.line("FALSE: banned addresses with a login, before or after. DENIED: logins from banned addresses.")
	}
}

func falseBans(n int) cell {
	if n > 0 {
		return cell{strconv.Itoa(n), red}
	}
	return text("0")
}

// printVerdict says which rule to take, and how.
func printVerdict(c *console, rep *suggest.Report) {
	switch rep.Verdict {
	case suggest.TooLittle:
		c.line(rep.Why, " The log has")
		for _, l := range rep.Lacks {
			c.line("  ", l, ".")
		}
		return
	case suggest.Incomplete:
		c.line(clean(rep.Why))
		return
	case suggest.Stay:
		c.line(clean(rep.Why))
	case suggest.Change:
		best := &rep.Rows[rep.Best]
		c.line("Take ", clean(best.Rule), ". ", clean(rep.Why))
		for _, l := range written(best.Settings) {
			c.line("  ", clean(l))
		}
	}
	printOwners(c, rep.Owners)
}

// written are settings as they stand in a file.
func written(settings []string) []string {
	lines := make([]string, len(settings))
	for i, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		lines[i] = key + ": " + value
	}
	return lines
}

// printOwners lists whom the rule at the mark bans although they log in.
func printOwners(c *console, owners []replay.Owner) {
	if len(owners) == 0 {
		return
	}
	c.line("")
	t := table{
		columns: []column{{"LOGIN FROM", false}, {"USERS", false}}, rows: len(owners), noun: "banned addresses with a login",
		row: func(i int) []cell { return []cell{{owners[i].Login.String(), red}, orDash(quoteAll(owners[i].Users))} },
	}
	t.print(c)
}
