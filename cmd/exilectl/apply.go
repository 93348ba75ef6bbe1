package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
)

func newApplyCommand(o *options) *cobra.Command {
	var confirm, main string
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Put a configuration in force, or on trial with --confirm",
		Long: "Put a file in force in place of the main file of the configuration, and write it there.\n\n" +
			"With --confirm it is on trial: the main file stays as it is, and is in force again after the time, unless confirm\n" +
			"comes first. The bans that the trial made are lifted then. So who locks himself out need only wait.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if confirm == "" {
				return o.apply(cmd.Context(), args[0], main)
			}
			length, endless, err := parseSpan(confirm)
			if err == nil && (endless || length == 0) {
				err = errors.New("a trial has an end: say for how long (like 60s)")
			}
			if err != nil {
				return err
			}
			return o.try(cmd.Context(), args[0], length)
		},
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "Take it back after `TIME`, unless it is confirmed")
	mainFlag(cmd, &main)
	return cmd
}

func mainFlag(cmd *cobra.Command, main *string) {
	cmd.Flags().StringVar(main, "config", config.Sources{}.Main(), "Write `FILE`, which exiled was started with")
	completeFlag(cmd, "config", completeFiles)
}

func newConfirmCommand(o *options) *cobra.Command {
	var main string
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Keep the configuration that is on trial",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.writesHere(); err != nil {
				return err
			}
			return o.command(cmd.Context(), func(ctx context.Context, d daemon, c *console) error { return o.confirm(ctx, d, c, main) })
		},
	}
	mainFlag(cmd, &main)
	return cmd
}

// installTime is how long a configuration is on trial that is confirmed at once.
const installTime = time.Minute

// apply tries a file first: what the daemon does not take is not written anywhere.
func (o *options) apply(ctx context.Context, file, main string) error {
	if err := o.writesHere(); err != nil {
		return err
	}
	return o.command(ctx, func(ctx context.Context, d daemon, c *console) error {
		if err := tryFile(ctx, d, file, installTime); err != nil {
			return err
		}
		return o.confirm(ctx, d, c, main)
	})
}

func (o *options) try(ctx context.Context, file string, length time.Duration) error {
	return o.command(ctx, func(ctx context.Context, d daemon, c *console) error {
		if err := tryFile(ctx, d, file, length); err != nil {
			return err
		}
		o.note(c, "%s is in force and is taken back in %s, unless you confirm it. See that you can still log in, then:", file, span(length))
		o.note(c, "exilectl confirm")
		return nil
	})
}

// tryFile finds the mistakes of the file itself first: the daemon would not know what it is called.
func tryFile(ctx context.Context, d daemon, file string, length time.Duration) error {
	if _, err := config.Load(config.Sources{File: file}); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := d.Try(ctx, string(text), length); err != nil {
		return failure(err, "apply %s", file)
	}
	return nil
}

// confirm writes what is on trial where it is in force for ever: when anything fails, the trial goes on to its end. The daemon
// says which file that is, and is not believed alone: root writes it, and the daemon is not root.
func (o *options) confirm(ctx context.Context, d daemon, c *console, main string) error {
	t, err := d.Trial(ctx)
	if err != nil {
		return failure(err, "confirm")
	}
	if t.Text == "" {
		return errors.New("no configuration is on trial: it was taken back, or there never was one")
	}
	main, err = filepath.Abs(main)
	if err == nil && t.File != main {
		err = fmt.Errorf("the daemon reads %q and not %q: name it with --config", t.File, main)
	}
	if err == nil {
		err = replaceFile(main, t.Text)
	}
	if err != nil {
		return fmt.Errorf("failed to confirm: %w; the configuration on trial will be taken back", err)
	}
	if err := d.Reload(ctx); err != nil {
		return failure(err, "end the trial")
	}
	o.note(c, "Wrote %s.", main)
	return nil
}

// writesHere refuses what writes a file when the daemon is elsewhere.
func (o *options) writesHere() error {
	if o.host != "" || o.machine != "" {
		return errors.New("the configuration is a file of the host that exiled runs on: confirm it there")
	}
	return nil
}

// replaceFile gives a file, or what a link leads to, new content at once and for good, whatever happens meanwhile. It keeps
// the permissions, of which others' are read-only for a new file.
func replaceFile(path, text string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := os.CreateTemp(dir.Name(), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return dir.Sync()
}
