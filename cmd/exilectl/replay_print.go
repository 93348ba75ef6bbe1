package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"exile/internal/human"
	"exile/internal/replay"
)

// This file prints what a replay has found.

func printReplay(o *options, c *console, rep *replay.Report) error {
	for _, line := range countLines(rep) {
		c.line(line)
	}
	if rep.Other != nil {
		printCompared(c, rep)
	}
	printFalse(c, rep.False)
	printTally(c, "sources", rep.Top.Sources, false)
	printTally(c, "networks", rep.Top.Networks, false)
	printTally(c, "names", rep.Top.Names, true)
	if rep.Top.More {
		o.note(c, "There were too many addresses or names to count each.")
	}
	return nil
}

// countLines are the numbers of a replay.
func countLines(rep *replay.Report) []string {
	between := ""
	if !rep.First.IsZero() {
		between = fmt.Sprintf(" from %s to %s", rep.First.Local().Format(time.DateTime), rep.Last.Local().Format(time.DateTime))
	}
	n := &rep.Count
	return []string{
		fmt.Sprintf("%s%s in %s, %d of them known to %s.", human.Count(n.Entries, "entries"), between,
			rep.Elapsed.Round(time.Millisecond), n.Matched, clean(strings.Join(rep.Jails, ", "))),
		fmt.Sprintf("%s from %s: %s prevented, %s let through.", human.Count(n.Attempts, "attempts"), human.Count(rep.Sources, "addresses"),
			share(n.Prevented, n.Attempts), share(n.Passed, n.Attempts)),
		fmt.Sprintf("%s; %d times the address is never banned.", human.Count(rep.Bans, "bans"), n.Protected),
		fmt.Sprintf("%s, and %d from addresses that were banned.", human.Count(n.Logins, "logins"), n.Denied),
	}
}

// share is a number and its part of a whole.
func share(n, whole uint64) string {
	if whole == 0 {
		return strconv.FormatUint(n, 10)
	}
	return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(whole))
}

// printFalse lists who was banned although somebody logged in from there.
func printFalse(c *console, alarms []replay.False) {
	c.line("")
	if len(alarms) == 0 {
		c.line("Nobody logged in from a banned address, before or after.")
		return
	}
	t := table{
		columns: []column{{name: "LOGIN FROM"}, {name: "BANNED"}, {name: "JAIL"}, {name: "SINCE"}, {name: "USERS"}}, rows: len(alarms),
		noun: "banned addresses with a login",
		row: func(i int) []cell {
			f := &alarms[i]
			return []cell{
				{f.Login.String(), red}, text(f.Prefix), text(clean(f.Jail)), text(f.At.Local().Format(time.DateTime)), orDash(quoteAll(f.Users)),
			}
		},
	}
	t.print(c)
}

// quoteAll quotes names, which are what somebody typed.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = clean(strconv.Quote(n))
	}
	return strings.Join(quoted, " ")
}

// printTally lists who attacked most.
func printTally(c *console, what string, list []replay.Tally, quote bool) {
	if len(list) == 0 {
		return
	}
	c.line("")
	if c.legend {
		c.line(c.paint(underline, "ATTEMPTS BY "+strings.ToUpper(what)))
	}
	for _, t := range list {
		name := clean(t.Name)
		if quote {
			name = quoteAll([]string{t.Name})
		}
		c.line(fmt.Sprintf("%8d  ", t.Attempts), c.paint(red, name))
	}
}

// maxDifferent is how many differences are listed.
const maxDifferent = 20

// printCompared shows both sides, and where they decided differently.
func printCompared(c *console, rep *replay.Report) {
	rows := [][3]string{
		{"bans", strconv.Itoa(rep.Bans), strconv.Itoa(rep.Other.Bans)},
		{"prevented", share(rep.Count.Prevented, rep.Count.Attempts), share(rep.Other.Count.Prevented, rep.Other.Count.Attempts)},
		{"let through", share(rep.Count.Passed, rep.Count.Attempts), share(rep.Other.Count.Passed, rep.Other.Count.Attempts)},
		{"banned with a login", strconv.Itoa(len(rep.False)), strconv.Itoa(len(rep.Other.False))},
	}
	c.line("")
	sides := table{
		columns: []column{{name: ""}, {name: "HERE", number: true}, {name: "OTHER", number: true}}, rows: len(rows),
		row: func(i int) []cell { return []cell{text(rows[i][0]), text(rows[i][1]), text(rows[i][2])} },
	}
	sides.print(c)
	c.line("")
	if rep.Different == 0 {
		c.line("Both ban the same addresses at the same times.")
		return
	}
	list := rep.Differences[:min(len(rep.Differences), maxDifferent)]
	t := table{
		columns: []column{{name: "BANNED"}, {name: "BY"}, {name: "JAIL"}, {name: "SINCE"}, {name: "WHY"}, {name: "WHY NOT BY BOTH"}}, rows: len(list),
		row: func(i int) []cell {
			d := &list[i]
			by := "other"
			if d.Here {
				by = "here"
			}
			return []cell{text(d.Prefix), text(by), text(clean(d.Jail)), text(d.At.Local().Format(time.DateTime)), text(clean(d.Reason)), text(clean(d.Instead))}
		},
	}
	t.print(c)
	c.line("")
	c.line(fmt.Sprintf("%s, of which %d are listed; --json=pretty lists a thousand.", human.Count(rep.Different, "differences"), len(list)))
}
