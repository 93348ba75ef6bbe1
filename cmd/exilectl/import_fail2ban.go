package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/fail2ban"
	"exile/internal/human"
	"exile/jail/filter/services"
)

func newImportFail2banCommand(o *options) *cobra.Command {
	var root, output string
	var all bool
	var check importCheck
	cmd := &cobra.Command{
		Use:   "import-fail2ban",
		Short: "Write fail2ban's configuration as one of exile",
		Long: "Read the configuration of fail2ban in /etc/fail2ban and write what its enabled jails do as a drop-in for exile.yaml, with a report of what\n" +
			"was moved, what means something else here, and what was not moved. Its current bans and how often addresses were banned are written as\n" +
			"a file for exilectl import. Nothing is put in force, and fail2ban is not touched.\n\n" +
			"With --check nothing is written: what fail2ban does and what exile would do is run over the log of each jail, and whom only one of\n" +
			"them would have banned is listed. Needs the right to read the logs.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := check.validate(output); err != nil {
				return err
			}
			found, err := readFail2ban(root, fail2ban.Options{All: all, Filters: services.Names(), Compare: check.wanted}, time.Now())
			if err != nil {
				return failure(err, "import the configuration of fail2ban")
			}
			if check.wanted {
				check.root = root
				return o.checkImported(cmd.Context(), found.Result, &check)
			}
			return o.sayImported(found, output)
		},
	}
	cmd.Flags().StringVar(&root, "root", "/", "Read below `DIR` instead of /")
	cmd.Flags().StringVar(&output, "output", "", "Write `DIR`/fail2ban.yaml, the filters that were translated, and DIR/fail2ban-bans.json instead of the standard output")
	cmd.Flags().BoolVar(&all, "all", false, "Take jails that are not enabled, too, and leave them off")
	cmd.Flags().BoolVar(&check.wanted, "check", false, "Show whom only fail2ban or only exile would have banned, from the log of each jail")
	cmd.Flags().StringArrayVar(&check.logs, "logfile", nil, "With --check, read `FILE` in place of the log of each jail; may be repeated")
	check.when.register(cmd, "with --check what happened")
	completeFlag(cmd, "logfile", completeFiles)
	completeFlag(cmd, "root", completeFiles)
	completeFlag(cmd, "output", completeFiles)
	return cmd
}

// fromFail2ban is what fail2ban says in exile's words.
type fromFail2ban struct {
	*fail2ban.Result
	bans    []control.Ban // the last one of each offender
	holding int           // of those, the bans that hold
}

// readFail2ban reads the configuration and the database of this host, or of one whose files are below a folder.
func readFail2ban(dir string, how fail2ban.Options, now time.Time) (*fromFail2ban, error) {
	setup, err := fail2ban.Read(os.DirFS(dir), "etc/fail2ban")
	if err != nil {
		return nil, err
	}
	r, err := fail2ban.Move(setup, how)
	if err != nil {
		return nil, err
	}
	found := &fromFail2ban{Result: r}
	return found, found.carry(setup, dir, now)
}

// carry reads the database. If it cannot be read, that is a line of the report: the configuration is worth having without it.
func (f *fromFail2ban) carry(setup *fail2ban.Setup, dir string, now time.Time) error {
	file, at, err := setup.Database()
	if err != nil {
		return err
	}
	if file == "" {
		f.Uncarried(at, errors.New("fail2ban keeps none"), "")
		return nil
	}
	h, err := fail2ban.ReadHistory(filepath.Join(dir, file))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Uncarried(fail2ban.Place{File: file}, errors.New("there is no such file"), "")
	case err != nil:
		f.Uncarried(fail2ban.Place{File: file}, err, "import again when it can be read")
	default:
		f.bans, f.holding = f.Carry(h, file, now)
	}
	return nil
}

// sayImported writes the configuration and the report. Where the configuration goes to the standard output, the report does not.
func (o *options) sayImported(r *fromFail2ban, output string) error {
	written, err := r.write(output)
	if err != nil {
		return err
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
	for _, file := range written {
		o.note(c, "Wrote %s.", file)
	}
	if n := len(r.Files); n > 0 && output != "" {
		o.note(c, "Wrote %s in %s.", human.Count(n, "filters"), filtersBeside(output))
	}
	if len(written) > 1 {
		o.note(c, "When exiled runs with the configuration, carry the bans over: exilectl import %s", written[1])
	}
	return flush(c)
}

// write writes the configuration, and the bans, which exilectl import takes. It returns the names of the files.
func (f *fromFail2ban) write(dir string) (written []string, err error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, failure(err, "write to %s", dir)
	}
	type file struct {
		name, text string
		private    bool
	}
	texts := []file{{"fail2ban.yaml", f.YAML, false}}
	if len(f.bans) > 0 {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		for i := range f.bans {
			_ = enc.Encode(control.Document(&f.bans[i])) // into memory
		}
		texts = append(texts, file{"fail2ban-bans.json", b.String(), true}) // who attacks is not for everybody
	}
	for _, t := range texts {
		file := filepath.Join(dir, t.name)
		err := replaceFile(file, t.text)
		if err == nil && t.private {
			err = os.Chmod(file, 0o600)
		}
		if err != nil {
			return written, failure(err, "write %s", file)
		}
		written = append(written, file)
	}
	return written, writeFilters(f.Result, dir)
}

// writeFilters writes the filters that were translated, and names their files in the report.
func writeFilters(r *fail2ban.Result, output string) error {
	dir := filtersBeside(output)
	if len(r.Files) > 0 {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return failure(err, "write %s", dir)
		}
	}
	for name, text := range r.Files {
		file := filepath.Join(dir, name+services.Suffix)
		if err := replaceFile(file, text); err != nil {
			return failure(err, "write %s", file)
		}
	}
	for i := range r.Filters {
		if f := &r.Filters[i]; f.Action == fail2ban.Translated {
			f.Filter = filepath.Join(dir, f.Filter+services.Suffix)
		}
	}
	return nil
}

// filtersBeside is the folder of filters that belongs to one of drop-ins.
func filtersBeside(output string) string {
	if filepath.Base(output) == "exile.yaml.d" {
		output = filepath.Dir(output)
	}
	return filepath.Join(output, config.FilterDir)
}

// imported is the report for programs.
type imported struct {
	Filters []fail2ban.Filter `json:"filters"`
	Jails   []fail2ban.Jail   `json:"jails"`
	Bans    int               `json:"bans"` // those that hold and can be carried over
}

func newImported(r *fromFail2ban) imported {
	return imported{Filters: append([]fail2ban.Filter{}, r.Filters...), Jails: append([]fail2ban.Jail{}, r.Jails...), Bans: r.holding}
}

// report prints what became of each thing.
func (o *options) report(c *console, r *fromFail2ban) {
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

func totals(r *fromFail2ban) string {
	moved := 0
	for _, j := range r.Jails {
		if j.Action != fail2ban.Refused {
			moved++
		}
	}
	text := fmt.Sprintf("%s moved, %d not", human.Count(moved, "jails"), len(r.Jails)-moved)
	if r.Off > 0 {
		text += fmt.Sprintf("; %s off, see --all", human.Count(r.Off, "jails"))
	}
	return text + fmt.Sprintf(". %s and the past of %s can be carried over.", human.Count(r.holding, "current bans"), human.Count(len(r.bans), "addresses"))
}
