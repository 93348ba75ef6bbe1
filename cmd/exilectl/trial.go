package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/human"
)

// This file has a jail only simulate for a time, and ends that. A drop-in has all that is to be known of it, so that it holds over restarts and
// ends for nobody but the administrator.

func newTrialCommand(o *options) *cobra.Command {
	var end bool
	var logs []string
	cmd := &cobra.Command{
		Use:   "trial JAIL [TIME]",
		Short: "Let a jail only simulate for a time, and show what it would have done",
		Long: "With a time (like 7d): have the jail only simulate its bans, by a drop-in below /etc/exile, until somebody decides; the time is when\n" +
			"status begins to remind of it. Without: replay the log since the beginning of the trial, with the jail as it is configured now, and say\n" +
			"what it would have done, and whom it would have hurt; at a terminal, ask what is to be done when the time is over.\n" +
			"--end removes the drop-in, and the jail bans again.",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 2 && end:
				return errors.New("a trial has a time, or an --end")
			case end:
				return o.endTrial(cmd.Context(), config.Sources{}, args[0])
			case len(args) == 1:
				return o.showTrial(cmd.Context(), args[0], logs)
			}
			length, endless, err := parseSpan(args[1])
			if err == nil && (endless || length <= 0) {
				err = errors.New("a trial cannot be unlimited: give a time (like 7d), or set simulate: yes for the jail")
			}
			if err != nil {
				return err
			}
			return o.beginTrial(cmd.Context(), config.Sources{}, args[0], length)
		},
	}
	cmd.Flags().BoolVar(&end, "end", false, "End the trial: the jail bans again")
	cmd.Flags().StringArrayVar(&logs, "logfile", nil, "Replay the text log `FILE` in place of the journal; may be repeated")
	completeFlag(cmd, "logfile", completeFiles)
	return cmd
}

// trial is what the drop-in of a jail on trial says.
type trial struct {
	jail         string
	since, until time.Time
}

// trialName is what the drop-ins are called around the name of the jail. It sorts behind others.
const (
	trialPrefix = "95-trial-"
	trialSuffix = ".yaml"
)

func trialFile(from config.Sources, jail string) string {
	return filepath.Join(from.Main()+".d", trialPrefix+jail+trialSuffix)
}

// text is the drop-in.
func (t *trial) text() string {
	return fmt.Sprintf("# Written by exilectl trial. exilectl trial %s says how it stands, and exilectl trial --end %s removes this file.\n", t.jail, t.jail) +
		fmt.Sprintf("# trial from %s to %s\n", t.since.UTC().Format(time.RFC3339), t.until.UTC().Format(time.RFC3339)) +
		fmt.Sprintf("jails:\n  %s:\n    simulate: true\n", t.jail)
}

var trialLine = regexp.MustCompile(`(?m)^# trial from (\S{20,25}) to (\S{20,25})$`)

// readTrial reads the trial of a jail. The error is fs.ErrNotExist if there is none.
func readTrial(from config.Sources, jail string) (*trial, error) {
	file := trialFile(from, jail)
	text, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	m := trialLine.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%s does not say when the trial began: remove it, and begin another one", file)
	}
	since, err1 := time.Parse(time.RFC3339, m[1])
	until, err2 := time.Parse(time.RFC3339, m[2])
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%s: %w: remove it, and begin another trial", file, err)
	}
	return &trial{jail, since, until}, nil
}

// trialOf is readTrial for people.
func trialOf(from config.Sources, jail string) (*trial, error) {
	if !config.IsJail(jail) {
		return nil, fmt.Errorf("%q is no name for a jail", jail)
	}
	t, err := readTrial(from, jail)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("jail %s is not on trial: begin with exilectl trial %s 7d", jail, jail)
	}
	return t, err
}

// beginTrial begins a trial, or sets a new end to the one that runs.
func (o *options) beginTrial(ctx context.Context, from config.Sources, jail string, length time.Duration) error {
	if !config.IsJail(jail) {
		return fmt.Errorf("%q is no name for a jail", jail)
	}
	now := time.Now().Truncate(time.Second)
	next := trial{jail, now, now.Add(length)}
	switch old, err := readTrial(from, jail); {
	case err == nil:
		next.since = old.since
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := runningJail(from, jail); err != nil {
		return err
	}
	if err := makeFolder(from.Main() + ".d"); err != nil {
		return err
	}
	d := draft{file: trialFile(from, jail), from: from, ours: true}
	if err := d.begin(); err != nil {
		return failure(err, "begin the trial")
	}
	defer d.end()
	said, err := o.putInForce(ctx, &d, next.text())
	if err != nil {
		return failure(err, "begin the trial")
	}
	return o.say(said + "\n" + next.begun(from))
}

// runningJail returns a jail that runs.
func runningJail(from config.Sources, name string) (*config.Jail, error) {
	cfg, err := config.Load(from)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(cfg.Jails, func(j config.Jail) bool { return j.Name == name && !j.ByHand })
	switch {
	case i < 0:
		return nil, fmt.Errorf("there is no jail %s: exilectl list-jails lists those that run", name)
	case !cfg.Jails[i].Enabled:
		return nil, fmt.Errorf("jail %s is off: turn it on with exilectl enable %s", name, name)
	}
	return &cfg.Jails[i], nil
}

// begun says what the trial does, or why it does not.
func (t *trial) begun(from config.Sources) string {
	cfg, err := config.Load(from)
	if err != nil {
		return "" // putInForce said so
	}
	if j, err := runningJail(from, t.jail); err == nil && !j.Simulate {
		return fmt.Sprintf("But %s says simulate: no.", cfg.Origin(t.jail, "simulate"))
	}
	return fmt.Sprintf("Jail %s only simulates, also after %s, until exilectl trial --end %s. exilectl trial %s says what it would have done.",
		t.jail, stamp(t.until), t.jail, t.jail)
}

// endTrial removes the drop-in, unless the daemon rejects what remains.
func (o *options) endTrial(ctx context.Context, from config.Sources, jail string) error {
	if _, err := trialOf(from, jail); err != nil {
		return err
	}
	file := trialFile(from, jail)
	if err := errors.Join(onlyOurs(file), onlyOurs(filepath.Dir(file))); err != nil {
		return failure(err, "end the trial")
	}
	before, err := readBounded(file)
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		return failure(err, "end the trial")
	}
	if _, err = config.Load(from); err == nil {
		err = o.attended(ctx, func(ctx context.Context, d daemon, _ *console) error { return d.Reload(ctx) })
	}
	said := fmt.Sprintf("Removed %s.", file)
	if isStopped(err) {
		said, err = said+" exiled is not running and will see that when it starts.", nil
	}
	if err != nil {
		return failure(errors.Join(err, replaceFile(file, before)), "end the trial")
	}
	return o.say(said + "\n" + ended(from, jail))
}

// ended says what a jail does after its trial.
func ended(from config.Sources, jail string) string {
	cfg, err := config.Load(from)
	if err != nil {
		return ""
	}
	j, err := runningJail(from, jail)
	switch {
	case err != nil:
		return err.Error()
	case j.Simulate:
		return fmt.Sprintf("Jail %s still only simulates: %s says so.", jail, cfg.Origin(jail, "simulate"))
	}
	return fmt.Sprintf("Jail %s bans, also those whose simulated bans last.", jail)
}

// warnTrials says in the status of the daemon which trials are over.
func warnTrials(c *console, from config.Sources) {
	entries, err := os.ReadDir(from.Main() + ".d")
	if err != nil {
		return // there is none, or not everybody may read it
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), trialPrefix)
		jail, whole := strings.CutSuffix(rest, trialSuffix)
		if !ours || !whole || !config.IsJail(jail) {
			continue
		}
		t, err := readTrial(from, jail)
		switch {
		case err != nil:
			field(c, "Warning", c.paint(yellow, clean(err.Error())))
		case !c.now.Before(t.until):
			field(c, "Trial", c.paint(yellow, fmt.Sprintf("of jail %s is over since %s, and it goes on to simulate: exilectl trial %s says what it would have done",
				jail, human.Span(c.now.Sub(t.until).Round(time.Second)), jail)))
		default:
			field(c, "Trial", fmt.Sprintf("of jail %s until %s", jail, stamp(t.until)))
		}
	}
}
