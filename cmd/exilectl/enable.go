package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/jail/filter/services"
)

// This file turns jails on and off, each in a drop-in of its own.

func newEnableCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "enable JAIL...",
		Short: "Turn on jails, for example those of list-filters",
		Long: "Turn on jails, each in a drop-in of its own below /etc/exile, and put that in force. A jail that no file names reads the lines of the\n" +
			"service whose filter has its name; list-filters shows these.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeFilters,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.switchAll(cmd.Context(), args, true)
		},
	}
}

func newDisableCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "disable JAIL...",
		Short:             "Turn off jails; their bans are lifted",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.switchAll(cmd.Context(), args, false)
		},
	}
}

func completeFilters(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, err := config.Sources{}.Filters()
	if err != nil {
		names = services.Names()
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (o *options) switchAll(ctx context.Context, names []string, on bool) error {
	for _, name := range names {
		if err := o.switchJail(ctx, config.Sources{}, name, on); err != nil {
			return failure(err, "switch jail %s", name)
		}
	}
	return nil
}

// switchJail writes the drop-in of a jail and puts it in force.
func (o *options) switchJail(ctx context.Context, from config.Sources, name string, on bool) error {
	if !config.IsJail(name) {
		return fmt.Errorf("%q is no name for a jail", name)
	}
	cfg, err := config.Load(from)
	if err == nil && !on && !slices.ContainsFunc(cfg.Jails, func(j config.Jail) bool { return j.Name == name }) {
		return errors.New("there is no such jail: exilectl list-jails lists those that run")
	}
	dir := from.Main() + ".d"
	if err := makeFolder(dir); err != nil {
		return err
	}
	d := draft{file: filepath.Join(dir, "50-"+name+".yaml"), from: from, ours: true}
	if err := d.begin(); err != nil {
		return err
	}
	defer d.end()
	if d.exists && d.before != switched(name, true) && d.before != switched(name, false) {
		return fmt.Errorf("%s says more than enable and disable do: change it with exilectl edit %s", d.file, d.file)
	}
	said, err := o.putInForce(ctx, &d, switched(name, on))
	if err != nil {
		return err
	}
	return o.say(said + "\n" + stateOf(ctx, from, name, on))
}

// switched is the drop-in that turns a jail on or off.
func switched(name string, on bool) string {
	return "# Written by exilectl enable and disable. A file that sorts behind it can say more about the jail.\n" +
		fmt.Sprintf("jails:\n  %s:\n    enabled: %t\n", name, on)
}

// makeFolder makes a folder that the daemon can read, whatever root's umask is.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	return err
}

// stateOf says what the jail does now, or why it is not as it should be.
func stateOf(ctx context.Context, from config.Sources, name string, on bool) string {
	cfg, err := config.Load(from)
	if err != nil {
		return "" // putInForce said so
	}
	for i := range cfg.Jails {
		j := &cfg.Jails[i]
		switch {
		case j.Name != name:
		case j.Enabled != on:
			return fmt.Sprintf("But %s says enabled: %t.", cfg.Origin(name, "enabled"), j.Enabled)
		case on:
			return ruleOf(cfg, j) + "\nIt reads " + sourcesOf(j) + ".\n" + lastWeek(ctx, name)
		}
	}
	return fmt.Sprintf("The jail %s is off.", name)
}

// sourcesOf says where a jail finds the lines of its services.
func sourcesOf(j *config.Jail) string {
	var all []string
	for i := range j.Parts {
		if text := partSources(&j.Parts[i]); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, "; and ")
}

// partSources says where a filter of a jail finds the lines of its service.
func partSources(p *config.Part) string {
	if p.Service == nil {
		return strings.Join(p.Units, ", ")
	}
	units := "what " + strings.Join(p.Units, ", ") + " logs"
	switch {
	case p.Service.Sender == services.Kernel:
		return "what the kernel logs"
	case p.Service.Sender == services.Root:
		return "what root's processes log as " + strings.Join(p.Identifiers, ", ")
	case len(p.LogPath) == 0:
		return units
	case len(p.Units) == 0:
		return strings.Join(p.LogPath, ", ")
	case p.Service.Form == services.Line:
		return strings.Join(p.LogPath, ", ") + ", or, if there is no such file, " + units
	default:
		return units + ", or without a journal " + strings.Join(p.LogPath, ", ")
	}
}

func newListFiltersCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list-filters",
		Short: "List the services whose lines can be read",
		Long:  "List the services whose lines can be read. The jails of that name are off, except sshd: see enable.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return o.paged(func(c *console) error { return listFilters(c, config.Sources{}) })
		},
	}
}

// filterRow describes a filter.
type filterRow struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Source      string   `json:"source"`
	Units       []string `json:"units"`
	LogPath     []string `json:"logpath"`
	Port        []string `json:"port"`
	Framable    string   `json:"framable"` // how a client could have others banned; empty: it cannot, as far as is known
}

// about is the description, with a word about those with which jails do not read by themselves.
func (r *filterRow) about() string {
	if r.Framable != "" {
		return r.Description + " (framable: see enable)"
	}
	return r.Description
}

func listFilters(c *console, from config.Sources) error {
	names, err := from.Filters()
	rows := []filterRow{{Name: "sshd", Description: "failed logins at OpenSSH, and much more about them: the only filter that is not a file"}}
	for _, name := range names {
		s, more := from.Filter(name)
		if more != nil {
			err = errors.Join(err, more)
			continue
		}
		rows = append(rows, filterRow{name, s.Description, s.Source, s.Units, s.LogPath, s.Ports, s.Risk()})
	}
	if c.wantJSON() {
		return errors.Join(err, printArray(c, len(rows), func(i int) any { return rows[i] }))
	}
	t := table{
		columns: []column{{"FILTER", false}, {"UNITS", false}, {"DESCRIPTION", false}},
		rows:    len(rows),
		noun:    "filters",
		row: func(i int) []cell {
			return []cell{text(rows[i].Name), orDash(strings.Join(rows[i].Units, ",")), text(rows[i].about())}
		},
	}
	t.print(c)
	return err
}

func newNewFilterCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "new-filter NAME",
		Short: "Write a filter for another service, from a template",
		Long: "Edit a new filter in /etc/exile/filters.d, from a template that explains itself. The filter is written if all its samples come true;\n" +
			"match --filter=NAME shows what it makes of a log.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Join(filepath.Dir(config.Sources{}.Main()), config.FilterDir)
			if !services.IsName(args[0]) {
				return fmt.Errorf("%q is no name for a filter: lower-case letters, digits and dashes", args[0])
			}
			if slices.Contains(services.Names(), args[0]) {
				return fmt.Errorf("exile has a filter %s: choose another name, or change a copy of it with exilectl edit --filter=%s", args[0], args[0])
			}
			if err := makeFolder(dir); err != nil {
				return err
			}
			return o.edit(context.WithoutCancel(cmd.Context()), draft{file: filepath.Join(dir, args[0]+services.Suffix)})
		},
	}
}
