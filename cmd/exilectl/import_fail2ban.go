package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"exile/internal/fail2ban"
	"exile/internal/human"
	"exile/jail/filter/services"
)

func newImportFail2banCommand(o *options) *cobra.Command {
	var root, output string
	var all bool
	cmd := &cobra.Command{
		Use:   "import-fail2ban",
		Short: "Write fail2ban's configuration as one of exile",
		Long: "Read the configuration of fail2ban in /etc/fail2ban and write what its enabled jails do as a drop-in for exile.yaml, with a report of what\n" +
			"was moved, what means something else here, and what was not moved. Nothing is put in force, and fail2ban is not touched.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			found, err := readFail2ban(root, all)
			if err != nil {
				return failure(err, "import the configuration of fail2ban")
			}
			return o.sayImported(found, output)
		},
	}
	cmd.Flags().StringVar(&root, "root", "/", "Read below `DIR` instead of /")
	cmd.Flags().StringVar(&output, "output", "", "Write `DIR`/fail2ban.yaml instead of the standard output")
	cmd.Flags().BoolVar(&all, "all", false, "Take jails that are not enabled, too, and leave them off")
	completeFlag(cmd, "root", completeFiles)
	completeFlag(cmd, "output", completeFiles)
	return cmd
}

// readFail2ban reads the configuration of this host, or of one whose files are below a folder.
func readFail2ban(dir string, all bool) (*fail2ban.Result, error) {
	setup, err := fail2ban.Read(os.DirFS(dir), "etc/fail2ban")
	if err != nil {
		return nil, err
	}
	return fail2ban.Move(setup, fail2ban.Options{All: all, Filters: services.Names()})
}

// sayImported writes the configuration and the report. Where the configuration goes to the standard output, the report does not.
func (o *options) sayImported(r *fail2ban.Result, output string) error {
	file := filepath.Join(output, "fail2ban.yaml")
	if output != "" {
		if err := os.MkdirAll(output, 0o755); err != nil {
			return failure(err, "write %s", file)
		}
		if err := replaceFile(file, r.YAML); err != nil {
			return failure(err, "write %s", file)
		}
	}
	c := o.newConsole(os.Stdout)
	if c.wantJSON() {
		if err := c.document(newImported(r)); err != nil {
			return err
		}
		return flush(c)
	}
	if output == "" {
		c.line(quoteLines(strings.TrimSuffix(r.YAML, "\n")))
		if err := flush(c); err != nil {
			return err
		}
		c = o.newConsole(os.Stderr)
		c.color = false
	}
	o.report(c, r)
	if output != "" {
		o.note(c, "Wrote %s.", file)
	}
	return flush(c)
}

// imported is the report for programs.
type imported struct {
	Filters []fail2ban.Filter `json:"filters"`
	Jails   []fail2ban.Jail   `json:"jails"`
	Bans    int               `json:"bans"` // those of fail2ban that were carried over: not yet
}

func newImported(r *fail2ban.Result) imported {
	return imported{Filters: append([]fail2ban.Filter{}, r.Filters...), Jails: append([]fail2ban.Jail{}, r.Jails...)}
}

// report prints what became of each thing.
func (o *options) report(c *console, r *fail2ban.Result) {
	if o.quiet {
		return
	}
	for _, part := range []struct {
		kind    fail2ban.Kind
		heading string
	}{{fail2ban.Moved, "Moved:"}, {fail2ban.Changed, "Changed in meaning:"}, {fail2ban.NotMoved, "Not moved:"}} {
		heading := part.heading
		for _, n := range r.Notes {
			if n.Kind != part.kind {
				continue
			}
			if heading != "" {
				c.line(c.paint(underline, heading))
			}
			heading = ""
			c.line("  ", clean(n.At.String()), ": ", clean(jailsOf(n)), clean(n.Text))
			if n.Advice != "" {
				c.line("    ", clean(n.Advice))
			}
		}
		if heading == "" {
			c.line("")
		}
	}
	c.line(totals(r))
}

// jailsOf names the jails that a note is about.
func jailsOf(n fail2ban.Note) string {
	const most = 3
	switch k := len(n.Jails); {
	case k == 0:
		return ""
	case k > most:
		return fmt.Sprintf("%s and %d more: ", strings.Join(n.Jails[:most], ", "), k-most)
	}
	return strings.Join(n.Jails, ", ") + ": "
}

func totals(r *fail2ban.Result) string {
	moved := 0
	for _, j := range r.Jails {
		if j.Action == fail2ban.Mapped {
			moved++
		}
	}
	text := fmt.Sprintf("%s moved, %d not", human.Count(moved, "jails"), len(r.Jails)-moved)
	if r.Off > 0 {
		text += fmt.Sprintf("; %s off, see --all", human.Count(r.Off, "jails"))
	}
	return text + ". Bans and the history of offences stay in fail2ban."
}
