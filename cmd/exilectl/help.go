package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// group adds verbs under a heading of the help.
func group(root *cobra.Command, heading string, verbs ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: heading, Title: heading})
	for _, v := range verbs {
		v.GroupID = heading
		v.Args = sayUsage(v.Args)
	}
	root.AddCommand(verbs...)
}

// sayUsage shows the verb's usage if there are too few or too many arguments. An empty argument is a script's mistake, and
// must not mean all jails.
func sayUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "") {
			return fmt.Errorf("an argument is empty: the command is exilectl %s", cmd.Use)
		}
		if check != nil && check(cmd, args) != nil {
			return fmt.Errorf("wrong number of arguments: the command is exilectl %s", cmd.Use)
		}
		return nil
	}
}

// newHelpCommand does the same as --help; cobra's own exits with 0 for any word.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "Show what a command does",
		Hidden: true,
		RunE: func(cmd *cobra.Command, words []string) error {
			about, left, err := cmd.Root().Find(words)
			if err == nil && !about.HasParent() {
				err = unknownVerb(about, left)
			}
			if err != nil {
				return err
			}
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, words []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			for _, c := range cmd.Root().Commands() {
				if len(words) == 0 && c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// help prints what a verb does, like systemctl --help.
func (o *options) help(cmd *cobra.Command, _ []string) {
	o.json = jsonOff
	_ = o.paged(func(c *console) error {
		c.line(useLine(cmd))
		c.line("")
		c.line(longest(cmd), ".")
		for _, g := range cmd.Groups() {
			printSection(c, g.Title+":", verbsOf(cmd, g.ID))
		}
		printSection(c, "Options:", optionsOf(cmd))
		c.line("")
		c.line("See the exilectl(1) man page for details.")
		return nil
	})
}

func useLine(cmd *cobra.Command) string {
	if cmd.HasParent() {
		return cmd.Root().Name() + " [OPTIONS...] " + cmd.Use
	}
	return cmd.Use
}

// longest is the long description of a verb without the full stop.
func longest(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return strings.TrimSuffix(cmd.Long, ".")
	}
	return cmd.Short
}

// item is a line of a section.
type item struct{ name, text string }

func verbsOf(cmd *cobra.Command, heading string) []item {
	var out []item
	for _, v := range cmd.Commands() {
		if v.GroupID == heading {
			out = append(out, item{v.Use, v.Short})
		}
	}
	return out
}

// optionsOf lists the verb's own options first.
func optionsOf(cmd *cobra.Command) []item {
	var out []item
	add := func(f *pflag.Flag) {
		value, text := pflag.UnquoteUsage(f)
		name := "   --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + " --" + f.Name
		}
		if value != "" {
			name += "=" + value
		}
		out = append(out, item{name, text})
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return out
}

// widestName is the longest name that leaves its text on the same line.
const widestName = 28

func printSection(c *console, heading string, items []item) {
	c.line("")
	c.line(c.paint(underline, heading))
	for _, i := range items {
		name := "  " + i.name
		if n := utf8.RuneCountInString(name); n <= widestName {
			c.line(name, strings.Repeat(" ", widestName-n+1), i.text)
			continue
		}
		c.line(name)
		c.line(strings.Repeat(" ", widestName+1), i.text)
	}
}
