package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"exile/internal/actions"
	"exile/internal/config"
	"exile/internal/human"
	"exile/jail"
)

func newActionsCommand(o *options) *cobra.Command {
	dir := actions.StateDir
	cmd := &cobra.Command{
		Use:   "actions",
		Short: "Show how the actions for bans are doing",
		Long: "Show how the actions for bans are doing, see exiled-actions.service(8): how many events wait, what was done, and the last error.\n" +
			"Needs the right to read the journal, but no daemon.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c := o.newConsole(os.Stdout)
			return errors.Join(showActions(c, dir), flush(c))
		},
	}
	cmd.Flags().StringVarP(&dir, "directory", "D", dir, "Read the status in `DIR`")
	completeFlag(cmd, "directory", completeFiles)
	return cmd
}

// showActions prints what exiled-actions has written. The exit status is that of a degraded daemon if an action fails.
func showActions(c *console, dir string) error {
	s, err := actions.ReadStatus(dir)
	if dir == actions.StateDir {
		s.Problems = append(s.Problems, strayJails(nil)...)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no status in %s: write actions into /etc/exile/actions.d, then systemctl start exiled-actions.service", dir)
	}
	if err != nil {
		return failure(err, "show actions")
	}
	if c.wantJSON() {
		err = c.document(s)
	} else {
		printActions(c, &s)
	}
	for i := range s.Actions {
		if s.Actions[i].Failing() && err == nil {
			err = &exitError{status: exitDegraded}
		}
	}
	if len(s.Problems) > 0 && err == nil {
		err = &exitError{status: exitDegraded}
	}
	return err
}

// strayJails returns what strays finds in the actions of this host, or in those of files. Of what has mistakes exiled-actions says which.
func strayJails(files []string) []string {
	cfg, err := loadConfig(nil)
	if err != nil {
		return nil // check-config says what is wrong with it
	}
	if len(files) == 0 {
		all, _, _ := actions.Load("")
		return strays(cfg, all)
	}
	var all []*actions.Action
	for _, name := range files {
		data, _ := os.ReadFile(name) // an empty file is no action
		if a, err := actions.Parse(name, data); err == nil {
			all = append(all, a)
		}
	}
	return strays(cfg, all)
}

// strays returns, a line for each, the jails that actions name and a configuration does not have.
func strays(cfg *config.Config, all []*actions.Action) (lines []string) {
	known := []string{jail.ByHand, config.Recidive}
	for i := range cfg.Jails {
		known = append(known, cfg.Jails[i].Name)
	}
	for _, a := range all {
		for _, wrong := range a.Strays(known) {
			lines = append(lines, wrong.Error())
		}
	}
	return lines
}

func printActions(c *console, s *actions.Status) {
	for _, p := range s.Problems {
		c.line(c.paint(red, "Problem: "+clean(p)))
	}
	t := table{
		columns: []column{{"ACTION", false}, {"KIND", false}, {"STATE", false}, {"WAITING", true}, {"DONE", true}, {"FAILED", true}, {"DROPPED", true}, {"LAST", false}},
		rows:    len(s.Actions),
		noun:    "actions",
		row: func(i int) []cell {
			a := &s.Actions[i]
			state := cell{"ok", green}
			if a.Failing() {
				state = cell{"failing", red}
			} else if a.Done == 0 {
				state = cell{"idle", ""}
			}
			return []cell{
				text(a.Name), text(string(a.Kind)), state, text(strconv.Itoa(a.Waiting)), number64(a.Done), number64(a.Failures), number64(a.Dropped),
				orDash(stamp(a.LastSuccess)),
			}
		},
	}
	t.print(c)
	for i := range s.Actions {
		if a := &s.Actions[i]; a.LastError != "" {
			c.line(fmt.Sprintf("%s failed at %s; %s: %s", clean(a.Name), stamp(a.LastFailure), ago(a.LastFailure, c.now), clean(a.LastError)))
		}
	}
}

// warnActions says in the status of the daemon that actions do not do what they should.
func warnActions(ctx context.Context, d settings, c *console) {
	all, broken, err := actions.Load("")
	if err != nil || len(all)+len(broken) == 0 {
		return // not everybody may be able to read them
	}
	running, unknown := d.Running(ctx, []string{actionsUnit})
	if unknown != nil {
		return // no systemd: nothing to tell
	}
	s, unread := actions.ReadStatus(actions.StateDir)
	if unread != nil {
		s = actions.Status{} // not everybody may read it
	}
	if text := actionsWarning(len(running) > 0, &s); text != "" {
		field(c, "Warning", c.paint(yellow, text))
	}
}

const actionsUnit = "exiled-actions.service"

// actionsWarning says what is wrong with the actions that the configuration has; empty: nothing.
func actionsWarning(running bool, s *actions.Status) string {
	if !running {
		return "there are actions for bans, and " + actionsUnit + " does not run: systemctl start " + actionsUnit
	}
	var failing []string
	for i := range s.Actions {
		if s.Actions[i].Failing() {
			failing = append(failing, clean(s.Actions[i].Name))
		}
	}
	switch {
	case len(failing) > 0:
		return "failing actions: " + strings.Join(failing, ", ") + "; see exilectl actions"
	case len(s.Problems) > 0:
		return human.Count(len(s.Problems), "problems") + " with actions; see exilectl actions"
	}
	return ""
}

func number64(n uint64) cell { return text(strconv.FormatUint(n, 10)) }

// checkActions has exiled-actions check the files of actions of this host, with the rights of its user, or the named one; it says which there
// are.
func (o *options) checkActions(ctx context.Context, c *console, args []string) error {
	program, err := daemonProgram("exiled-actions")
	if err != nil && len(args) == 0 {
		return nil // only this program is installed
	}
	if err != nil {
		return failure(err, "check %s with exiled-actions", args[0])
	}
	said, err := runCheck(ctx, append([]string{program, "check"}, args...), asUser("exile-actions", nil))
	for line := range strings.Lines(said) {
		o.note(c, "%s", strings.TrimSuffix(line, "\n"))
	}
	for _, line := range strayJails(args) {
		o.note(c, "Warning: %s", line)
	}
	return err
}

// isAction reports whether a file that is to be checked is that of an action.
func isAction(args []string) bool {
	if len(args) != 1 {
		return false
	}
	path, err := filepath.Abs(args[0])
	return err == nil && filepath.Base(filepath.Dir(path)) == actions.Folder
}
