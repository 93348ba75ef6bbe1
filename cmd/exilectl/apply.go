package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/human"
)

func newApplyCommand(o *options) *cobra.Command {
	var confirm, main string
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Put a configuration in force, or on trial with --confirm",
		Long: "Put a file in force in place of the main file of the configuration, and write it there.\n\n" +
			"With --confirm it is only on trial: the main file stays as it is, and is in force again after the time unless you run\n" +
			"confirm first. The bans that the trial made are then lifted. If you lock yourself out, just wait.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if confirm == "" {
				return o.apply(cmd.Context(), args[0], main)
			}
			length, endless, err := parseSpan(confirm)
			if err == nil && (endless || length == 0) {
				err = errors.New("a trial cannot be unlimited: give a time (like 60s)")
			}
			if err != nil {
				return err
			}
			return o.try(cmd.Context(), args[0], length)
		},
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "Take it back after `TIME` unless it is confirmed")
	mainFlag(cmd, &main)
	return cmd
}

func mainFlag(cmd *cobra.Command, main *string) {
	cmd.Flags().StringVar(main, "config", config.Sources{}.Main(), "Write `FILE`, the one that exiled was started with")
	completeFlag(cmd, "config", completeFiles)
}

func newConfirmCommand(o *options) *cobra.Command {
	var main string
	cmd := &cobra.Command{
		Use:   "confirm [FILE]",
		Short: "Keep the configuration that is on trial",
		Long: "Write the configuration that apply --confirm or suggest --apply put on trial. Root need not name the file again; other users must.\n\n" +
			"The daemon must have the same text on trial.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.writesHere(); err != nil {
				return err
			}
			text, err := triedText(args)
			if err != nil {
				return err
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				return o.confirm(ctx, d, c, main, text)
			})
		},
	}
	mainFlag(cmd, &main)
	return cmd
}

// installTime is how long a configuration is on trial if it is confirmed at once.
const installTime = time.Minute

// apply tries a file first: nothing that the daemon rejects is ever written.
func (o *options) apply(ctx context.Context, file, main string) error {
	if err := o.writesHere(); err != nil {
		return err
	}
	return o.command(ctx, func(ctx context.Context, d daemon, c *console) error {
		text, err := tryFile(ctx, d, file, installTime)
		if err != nil {
			return err
		}
		return o.confirm(ctx, d, c, main, text)
	})
}

func (o *options) try(ctx context.Context, file string, length time.Duration) error {
	return o.command(ctx, func(ctx context.Context, d daemon, c *console) error {
		text, err := tryFile(ctx, d, file, length)
		if err != nil {
			return err
		}
		return o.tellTrial(c, file, text, length)
	})
}

// tellTrial remembers the text that was put on trial, and says what to do now.
func (o *options) tellTrial(c *console, what, text string, length time.Duration) error {
	if err := rememberTried(text); err != nil {
		return fmt.Errorf("failed to remember the configuration on trial: %w; it will be taken back", err)
	}
	o.note(c, "%s is in force and will be taken back in %s unless you confirm it. Check that you can still log in, then run:", what, human.Span(length))
	o.note(c, "exilectl confirm")
	return nil
}

// tryFile puts a file on trial and returns its text. It finds mistakes in the file itself first: the daemon would not know
// the file's name.
func tryFile(ctx context.Context, d daemon, file string, length time.Duration) (string, error) {
	if _, err := config.Load(config.Sources{File: file}); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if err := d.Try(ctx, string(text), length); err != nil {
		return "", failure(err, "apply %s", file)
	}
	return string(text), nil
}

// confirmer is what ends a trial.
type confirmer interface {
	Trial(ctx context.Context) (control.Trial, error)
	Reload(ctx context.Context) error
}

// confirm writes the configuration on trial to its permanent place. If anything fails, the trial continues to its end. Root
// writes the user's text to the user's file; the daemon is not root, so its text is only compared with that.
func (o *options) confirm(ctx context.Context, d confirmer, c *console, main, text string) error {
	t, err := d.Trial(ctx)
	if err != nil {
		return failure(err, "confirm")
	}
	if t.Text == "" {
		return errors.New("no configuration is on trial: it was taken back, or there was none")
	}
	var wrote string
	main, err = filepath.Abs(main)
	switch {
	case err != nil:
	case t.File != main:
		err = fmt.Errorf("the daemon reads %q, not %q: name it with --config", t.File, main)
	case t.Text != text:
		err = fmt.Errorf("the daemon has something else on trial: %s", difference(text, t.Text))
	default:
		wrote, err = writeTried(main, text)
	}
	if err != nil {
		return fmt.Errorf("failed to confirm: %w; the configuration on trial will be taken back", err)
	}
	if err := d.Reload(ctx); err != nil {
		return failure(err, "end the trial")
	}
	forgetTried()
	o.note(c, "Wrote %s.", wrote)
	return nil
}

// writeTried writes what was on trial: the main file, or a drop-in beside it.
func writeTried(main, text string) (file string, err error) {
	name, dropIn, more := config.DropIn(text)
	if !more {
		return main, replaceFile(main, text)
	}
	file = config.Sources{File: main}.DropInPath(name)
	if err := errors.Join(onlyOurs(filepath.Dir(main)), makeFolder(filepath.Dir(file))); err != nil {
		return "", err
	}
	return file, replaceFile(file, dropIn)
}

// difference describes the first line in which two texts differ.
func difference(tried, told string) string {
	a, b := strings.Split(tried, "\n"), strings.Split(told, "\n")
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	line := func(lines []string) string {
		if n >= len(lines) {
			return "nothing"
		}
		return strconv.Quote(lines[n])
	}
	return fmt.Sprintf("its line %d is %s, that of the file is %s", n+1, line(b), line(a))
}

// writesHere refuses to write a file if the daemon runs elsewhere.
func (o *options) writesHere() error {
	if o.host != "" || o.machine != "" {
		return errors.New("the configuration is a file on exiled's host: confirm it there")
	}
	return nil
}
