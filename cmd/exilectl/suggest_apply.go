package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/suggest"
)

// This file puts the rule that suggest recommends on trial, as a drop-in.

// suggestedName is the name of the drop-in: it sorts behind those of enable, and before those of trial.
const suggestedName = "60-suggest.yaml"

// applyFlags say whether what is recommended is put on trial.
type applyFlags struct {
	apply   bool
	confirm string
	length  time.Duration
}

func (a *applyFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.apply, "apply", false, "Put the recommended rule on trial")
	cmd.Flags().StringVar(&a.confirm, "confirm", "10min", "With --apply: take it back after `TIME` unless it is confirmed")
}

// check finds what would keep the rule from being applied before the log is read.
func (a *applyFlags) check(o *options, f *replayFlags) error {
	if !a.apply {
		return nil
	}
	length, endless, err := parseSpan(a.confirm)
	a.length = length
	switch {
	case err != nil:
		return err
	case endless || length == 0:
		return errors.New("a trial cannot be unlimited: give a time (like 10min)")
	case f.config != "":
		return errors.New("--apply changes the usual files: leave out --config")
	case o.newConsole(os.Stdout).wantJSON():
		return errors.New("--apply and --json exclude each other")
	case os.Geteuid() != 0:
		return errors.New("only root can write a rule once it is confirmed: run suggest --apply as root")
	}
	return o.writesHere()
}

// trySuggested puts the recommended rule on trial. It says so if nothing is recommended.
func (o *options) trySuggested(ctx context.Context, from config.Sources, rep *suggest.Report, length time.Duration) error {
	if rep.Verdict != suggest.Change {
		return o.say("No rule is recommended: nothing was changed.")
	}
	text, err := suggestedTrial(from, rep)
	if err != nil {
		return failure(err, "put the rule on trial")
	}
	return o.command(ctx, func(ctx context.Context, d daemon, c *console) error {
		if err := tryDropIn(ctx, d, from, text, length); err != nil {
			return failure(err, "put the rule on trial")
		}
		return o.tellTrial(c, "The rule", text, length)
	})
}

// tryDropIn puts a drop-in on trial, unless something else is: that would be taken back with it, even if it is confirmed.
func tryDropIn(ctx context.Context, d control.Configurer, from config.Sources, text string, length time.Duration) error {
	switch t, err := d.Trial(ctx); {
	case err != nil:
		return err
	case t.File != from.Main():
		return fmt.Errorf("the daemon reads %q, not %q: write the settings into its file", t.File, from.Main())
	case t.Text != "":
		return errors.New("a configuration is on trial already: run exilectl confirm, or wait until it is taken back")
	}
	return d.Try(ctx, text, length)
}

// suggestedTrial is the text on trial, which is known to do what was recommended.
func suggestedTrial(from config.Sources, rep *suggest.Report) (string, error) {
	for _, name := range rep.Jails {
		if !config.IsJail(name) {
			return "", fmt.Errorf("%q is no name for a jail", name)
		}
	}
	if err := keepsOthers(from.DropInPath(suggestedName), rep.Jails); err != nil {
		return "", err
	}
	text := suggestedText(rep)
	from.Text = config.OnTrial(suggestedName, text)
	got, err := config.Load(from)
	if err != nil {
		return "", err
	}
	from.Over = text
	want, err := config.Load(from)
	if err != nil {
		return "", err
	}
	for _, name := range rep.Jails {
		if err := takesEffect(got, want, name, rep.Rows[rep.Best].Settings); err != nil {
			return "", err
		}
	}
	return from.Text, nil
}

// suggestedFor begins the line of the drop-in that names its jails.
const suggestedFor = "# For "

// suggestedText is the drop-in.
func suggestedText(rep *suggest.Report) string {
	best := &rep.Rows[rep.Best]
	var b strings.Builder
	b.WriteString("# Written by exilectl suggest --apply, which replaces this file. Remove it to have the rule of before.\n")
	fmt.Fprintf(&b, "%s%s: %s, from the log of %s to %s.\n# %s\njails:\n", suggestedFor, strings.Join(rep.Jails, ", "), best.Rule,
		rep.First.UTC().Format(time.DateOnly), rep.Last.UTC().Format(time.DateOnly), rep.Why)
	for _, name := range rep.Jails {
		fmt.Fprintf(&b, "  %s:\n", name)
		for _, l := range written(best.Settings) {
			fmt.Fprintf(&b, "    %s\n", l)
		}
	}
	return b.String()
}

// keepsOthers refuses to replace a drop-in that has rules of other jails.
func keepsOthers(file string, jails []string) error {
	text, err := readBounded(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, line, ours := strings.Cut(text, "\n"+suggestedFor)
	names, _, _ := strings.Cut(line, ":")
	for name := range strings.SplitSeq(names, ", ") {
		if !ours || !slices.Contains(jails, name) {
			return fmt.Errorf("%s has rules of other jails, which would be lost: rename it, or try all its jails at once", file)
		}
	}
	return nil
}

// takesEffect finds out whether a jail runs and has the settings that were tried, whatever the files behind the drop-in say.
func takesEffect(got, want *config.Config, name string, settings []string) error {
	g, w := jailIn(got, name), jailIn(want, name)
	switch {
	case g == nil || w == nil || !g.Enabled:
		return fmt.Errorf("jail %s is off: turn it on with exilectl enable %s", name, name)
	case g.Detection == w.Detection && reflect.DeepEqual(g.Config, w.Config) && reflect.DeepEqual(g.Adaptive, w.Adaptive):
		return nil
	}
	for _, s := range slices.Backward(settings) { // the detection, which follows from the others, comes first
		key, value, _ := strings.Cut(s, "=")
		if at := got.Origin(name, key); value != "null" && !strings.HasPrefix(at, config.TriedName(suggestedName)) {
			return fmt.Errorf("%s says %s of jail %s after %s does: remove it there", at, key, name, suggestedName)
		}
	}
	return fmt.Errorf("files that sort after %s say something else of jail %s: rename or change them", suggestedName, name)
}

func jailIn(cfg *config.Config, name string) *config.Jail {
	i := slices.IndexFunc(cfg.Jails, func(j config.Jail) bool { return j.Name == name && !j.ByHand })
	if i < 0 {
		return nil
	}
	return &cfg.Jails[i]
}
