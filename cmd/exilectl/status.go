package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/human"
)

// exitDegraded is the exit status of "status" if the daemon does not do all of its work.
const exitDegraded = 3

func newStatusCommand(o *options) *cobra.Command {
	lines, dir := 10, ""
	cmd := &cobra.Command{
		Use:               "status [JAIL|ADDRESS...]",
		Short:             "Show the state of the daemon, of jails or of addresses",
		ValidArgsFunction: completeEither(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lines < 0 {
				return fmt.Errorf("cannot show %d lines", lines)
			}
			if _, err := os.Stat(dir); dir != "" && err != nil {
				return failure(err, "read the log")
			}
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				if len(args) == 0 {
					warn := func(jails []control.JailStatus) {
						if o.host == "" && o.machine == "" { // what fail2ban does there is not known here
							warnRivals(ctx, d, c, jails)
							warnActions(ctx, d, c)
							warnTrials(c, config.Sources{})
						}
					}
					return statusDaemon(ctx, d, c, warn, func() logTail { return lastLines(o.journalDirs(dir), lines) })
				}
				at := o.openPlaces(o.full)
				defer at.close()
				for i, a := range args {
					if i > 0 && !c.wantJSON() {
						c.line("")
					}
					if err := statusOf(ctx, d, c, a, at); err != nil {
						return failure(err, "show %s", a)
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", lines, "Show the last `N` lines of the daemon's log; 0 for none")
	cmd.Flags().StringVarP(&dir, "directory", "D", "", "Read the log from the journal files in `DIR`")
	completeFlag(cmd, "directory", completeFiles)
	return cmd
}

// statusOf shows an address or a jail, depending on the word.
func statusOf(ctx context.Context, d control.Reader, c *console, word string, at *places) error {
	if p, err := control.ParsePrefix(word); err == nil {
		return statusAddress(ctx, d, c, p, at)
	}
	jails, err := d.Jails(ctx)
	if err != nil {
		return err
	}
	j, err := control.FindJail(jails, word)
	if err != nil {
		return fmt.Errorf("not an address, and %w", err)
	}
	return statusJail(c, j)
}

// statusDaemon shows the daemon, its jails and the end of its log.
func statusDaemon(ctx context.Context, d control.Reader, c *console, warn func([]control.JailStatus), log func() logTail) error {
	s, err := d.Status(ctx)
	if err != nil {
		return failure(err, "get status")
	}
	jails, err := d.Jails(ctx)
	if err != nil {
		return failure(err, "get status")
	}
	if c.wantJSON() {
		err = c.document(control.Document(&control.Overview{Status: s, All: jails}))
	} else {
		printStatus(c, s, jails, warn)
		printLog(c, log())
	}
	if err == nil && s.State == "degraded" {
		return &exitError{status: exitDegraded}
	}
	return err
}

// stateColor is green if all is well, yellow for a temporary state, red if something is broken.
func stateColor(state string) string {
	switch state {
	case "running":
		return green
	case "degraded":
		return red
	}
	return yellow
}

// field prints "    Key: value" with aligned colons.
func field(c *console, key, value string) {
	c.line(fmt.Sprintf("%13s: ", key), value)
}

func printStatus(c *console, s control.Status, jails []control.JailStatus, warn func([]control.JailStatus)) {
	c.line(c.paint(stateColor(s.State), "●"), " exiled ", clean(s.Version), " - Brute-Force Ban Daemon")
	state := c.paint(stateColor(s.State), clean(s.State))
	if !s.Started.IsZero() {
		state += " since " + stamp(s.Started) + "; " + ago(s.Started, c.now)
	}
	field(c, "State", state)
	for i, reason := range s.Degraded {
		text := clean(reason)
		if i < len(s.Remedies) {
			text += ": " + clean(s.Remedies[i])
		}
		field(c, "Degraded", c.paint(red, text))
	}
	if s.Notice != "" {
		field(c, "Notice", clean(s.Notice))
	}
	if !s.PausedTo.IsZero() {
		field(c, "Paused", "until "+stamp(s.PausedTo)+"; "+left(s.PausedTo, c.now)+" left")
	}
	if !s.TrialTo.IsZero() {
		field(c, "On trial", "configuration, until "+stamp(s.TrialTo)+"; "+left(s.TrialTo, c.now)+" left; keep it: exilectl confirm")
	}
	field(c, "Backend", clean(s.Backend)+parenthesis(s.Why))
	field(c, "Bans", fmt.Sprintf("%d wanted, %d in the kernel", s.Banned, s.Enforced))
	if len(s.Blocklists) > 0 {
		field(c, "Lists", blocklistsOf(s.Blocklists))
	}
	field(c, "Failing", human.Count(s.Failing, "addresses"))
	field(c, "Counted", join(counted(s)))
	if !s.LastRepair.IsZero() {
		field(c, "Last repair", stamp(s.LastRepair)+"; "+ago(s.LastRepair, c.now))
	}
	if t := trouble(s); len(t) > 0 {
		field(c, "Trouble", c.paint(yellow, join(t)))
	}
	if !s.LastEntry.IsZero() {
		field(c, "Last entry", stamp(s.LastEntry)+"; handled after "+human.Span(s.Lag))
	}
	for _, j := range jails {
		warnOfJail(c, j)
	}
	warn(jails)
	if len(jails) > 0 {
		c.line("")
		printJails(c, jails)
	}
}

// amount is a number of things.
type amount struct {
	n         uint64
	one, many string
}

func (a amount) String() string {
	if a.n == 1 {
		return "1 " + a.one
	}
	return strconv.FormatUint(a.n, 10) + " " + a.many
}

func counted(s control.Status) []amount {
	return []amount{
		{s.Entries, "entry", "entries"},
		{s.Failures, "failure", "failures"},
		{s.Bans, "ban", "bans"},
		{s.Unbans, "unban", "unbans"},
		{s.Repairs, "repair", "repairs"},
	}
}

// trouble lists what went wrong since the statistics were reset, even if it is over; empty: nothing.
func trouble(s control.Status) []amount {
	return slices.DeleteFunc([]amount{
		{s.Gaps, "gap in the log", "gaps in the log"},
		{s.Suppressed, "entry that journald dropped", "entries that journald dropped"},
		{s.Skipped, "unreadable log file", "unreadable log files"},
		{s.Undated, "log line without a readable time", "log lines without a readable time"},
		{s.Evicted, "ban lifted early", "bans lifted early"},
		{s.KernelErrors, "kernel error", "kernel errors"},
		{s.DiskErrors, "disk error", "disk errors"},
		{s.ReloadFailures, "failed reload", "failed reloads"},
	}, func(a amount) bool { return a.n == 0 })
}

func join(amounts []amount) string {
	words := make([]string, len(amounts))
	for i, a := range amounts {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + clean(s) + ")"
}

func statusJail(c *console, j control.JailStatus) error {
	if c.wantJSON() {
		return c.document(control.Document(&j))
	}
	c.line(c.paint(stateColor(j.State), "●"), " ", clean(j.Name))
	field(c, "State", c.paint(stateColor(j.State), clean(j.State)))
	field(c, "Units", clean(strings.Join(j.Units, " ")))
	warnOfJail(c, j)
	field(c, "Detection", clean(j.Detection)+parenthesis(j.Why))
	field(c, "Rule", clean(j.Rule))
	field(c, "Protected", clean(strings.Join(j.Protected, " ")))
	field(c, "Banned", fmt.Sprintf("%d now, %d in all", j.Banned, j.Total))
	if len(j.Lines) > 0 {
		field(c, "Lines", understood(j.Lines))
	}
	field(c, "Failing", human.Count(j.Failing, "addresses")+", "+strconv.FormatUint(j.Failures, 10)+" failures in all")
	if j.Leaked > 0 {
		field(c, "Leaked", human.Count(j.Leaked, "entries")+" of addresses that were banned")
	}
	if !j.LastBan.IsZero() {
		field(c, "Last ban", stamp(j.LastBan)+"; "+ago(j.LastBan, c.now))
	}
	return nil
}

// understood says how many lines a jail has read and how many of them its filters know.
func understood(lines map[string]uint64) string {
	var all uint64
	for _, n := range lines {
		all += n
	}
	return fmt.Sprintf("%d read, %d understood (%d failures, %d successes), %d not", all, all-lines["other"], lines["failure"], lines["success"], lines["other"])
}

// warnOfJail says that a jail trusts lines that any local user can write, or with which a client can have others banned.
func warnOfJail(c *console, j control.JailStatus) {
	if j.Framable != "" {
		field(c, "Warning", c.paint(yellow, fmt.Sprintf("a client could have others banned in jail %s, which the configuration accepts: %s", clean(j.Name), clean(j.Framable))))
	}
	if j.Forgeable {
		field(c, "Warning", c.paint(yellow, fmt.Sprintf("jail %s reads a text log: any local user can forge lines in it and get "+
			"anybody banned; see logpath in exile.yaml(5)", clean(j.Name))))
	}
}

func statusAddress(ctx context.Context, d control.Reader, c *console, p netip.Prefix, at *places) error {
	a, err := d.Address(ctx, p)
	if err != nil {
		return err
	}
	if c.wantJSON() {
		return c.document(at.document(control.Document(&a), p))
	}
	state, color := "not banned", green
	if a.Banned {
		state, color = "banned", red
	}
	c.line(c.paint(color, "●"), " ", control.FormatPrefix(a.Prefix))
	field(c, "State", c.paint(color, state))
	if is := at.of(p); is != nil {
		field(c, "Place", is.String())
	}
	if a.Protected != "" {
		field(c, "Protected", clean(a.Protected))
	}
	for _, b := range a.Bans {
		label := "Banned"
		if b.Simulated {
			label = "Simulated"
		}
		field(c, label, fmt.Sprintf("%s by jail %s since %s, left: %s", control.FormatPrefix(b.Prefix), clean(b.Jail), stamp(b.Since), left(b.Until, c.now)))
		if b.Reason != "" {
			field(c, "Reason", clean(b.Reason))
		}
	}
	for _, jail := range slices.Sorted(maps.Keys(a.Failures)) {
		field(c, "Failures", fmt.Sprintf("%d in jail %s", a.Failures[jail], clean(jail)))
	}
	field(c, "Offences", strconv.Itoa(a.Offences))
	for _, line := range a.Detail {
		c.line(strings.Repeat(" ", 15), clean(line))
	}
	return nil
}
