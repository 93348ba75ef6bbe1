package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"exile/internal/announce"
	"exile/internal/replay"
)

// reportFlags say what a report is about, and where it goes.
type reportFlags struct {
	replayFlags
	output string
	mail   bool
}

func newReportCommand(o *options) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write what happened into an HTML file",
		Long: "Write one HTML file that needs nothing else: attempts and bans over time, what was prevented, who attacked most and when, false\n" +
			"alarms, how fast bans are, and what other detectors would have done with the same log. It is made as replay does it, and needs the\n" +
			"right to read the log, but no daemon. With --json the numbers are printed, and no file is written. With --mail it is sent to whom\n" +
			"the actions of the kind mail with on: [report] name.",
		Args: cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if o.host != "" {
				return errors.New("report works on local files: run it on the other host")
			}
			if cmd.Flags().Changed("output") && (o.json != jsonOff || o.jsonAuto) {
				return errors.New("--output is for HTML: redirect the JSON")
			}
			if f.mail && (o.json != jsonOff || o.jsonAuto) {
				return errors.New("--mail sends text and HTML, and no JSON")
			}
			return f.check(o.machine)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return o.makeReport(cmd.Context(), &f) },
	}
	f.register(cmd, o)
	cmd.Flags().StringVarP(&f.output, "output", "o", "report.html", "Write into `FILE`; - is the standard output")
	cmd.Flags().BoolVar(&f.mail, "mail", false, "Mail the report instead, as the actions with on: [report] say")
	cmd.MarkFlagsMutuallyExclusive("mail", "output")
	completeFlag(cmd, "output", completeFiles)
	return cmd
}

// makeReport has the daemon's program make a report, and delivers it.
func (o *options) makeReport(ctx context.Context, f *reportFlags) error {
	c := o.newConsole(os.Stdout)
	asked, err := f.request(o, c)
	if err != nil {
		return err
	}
	var post mailing
	asked.Document, asked.Form, asked.Host = false, replay.FormHTML, f.about(o.machine)
	switch {
	case c.wantJSON():
		asked.Form = replay.FormJSON
	case f.mail:
		asked.Form = replay.FormMail
		if post, err = openMailing(""); err != nil {
			return failure(err, "mail the report")
		}
	}
	var troubles []string
	if o.machine == "" && len(f.files)+len(f.logs) == 0 {
		asked.Latency, troubles = readLatencies(f.dir, period{asked.Since, asked.Until})
	}
	rep, in, ended, err := beginReplay(ctx, asked)
	if err != nil {
		return err
	}
	if rep.Interrupted {
		_ = ended() // it was interrupted, too
		return context.Canceled
	}
	whole := func(out io.Writer) error {
		_, err := io.Copy(out, in)
		return errors.Join(err, ended())
	}
	if f.mail {
		err = post.send(ctx, o, c, whole)
	} else {
		err = f.deliver(o, c, whole)
	}
	if err := errors.Join(err, flush(c)); err != nil {
		return err
	}
	for _, t := range append(troubles, rep.Troubles...) {
		fmt.Fprintln(os.Stderr, quoteLines(sentences(t)))
	}
	return nil
}

// deliver prints the report or writes it into a file. whole writes it, and fails unless that was all of it.
func (f *reportFlags) deliver(o *options, c *console, whole func(io.Writer) error) error {
	switch {
	case c.wantJSON():
		return whole(harmless{c})
	case f.output == "-":
		return whole(c)
	}
	if err := writeReport(f.output, whole); err != nil {
		return failure(err, "write the report")
	}
	o.note(c, "Wrote %s.", f.output)
	return nil
}

// about names what the report is of: this host, or the log that was named.
func (f *reportFlags) about(machine string) string {
	named := cmp.Or(machine, f.dir)
	for _, files := range [][]string{f.files, f.logs} {
		if len(files) > 0 {
			named = filepath.Base(files[0])
		}
	}
	if named != "" {
		return named
	}
	host, err := os.Hostname()
	if err != nil {
		return "this host"
	}
	return host
}

// readLatencies reads from the journal how fast the daemon's own bans were, and says what cannot be read.
func readLatencies(dir string, during period) (_ replay.Latency, troubles []string) {
	log, err := openHistory(dir, during)
	if err != nil {
		return replay.Latency{}, []string{"how fast bans were cannot be read: " + err.Error()}
	}
	defer log.close()
	var all replay.Latencies
	for {
		_, fields, ok := log.next()
		if !ok {
			return all.Summary(), log.troubles
		}
		if took, ok := announce.Latency(fields); ok {
			all.Add(took)
		}
	}
}

// writeReport gives a file new content at once. A report has names that people typed, so only its owner may read a new one. Where others can
// write, it follows no link that they may have put there.
func writeReport(path string, whole func(io.Writer) error) error {
	shared := isShared(filepath.Dir(path))
	before, err := os.Lstat(path)
	switch {
	case err != nil: // there is none, or CreateTemp says why not
	case before.Mode()&os.ModeSymlink != 0:
		if shared {
			return fmt.Errorf("%s is a link in a folder that others can write to: name the file itself, or another folder", path)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		return writeReport(path, whole)
	case !before.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file; --output=- is the standard output", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	err = whole(f)
	if before != nil && !shared {
		err = errors.Join(err, likeBefore(f, path))
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// isShared reports whether others than the caller and root can write to a folder, such as /tmp or, for root, a user's own.
func isShared(dir string) bool {
	var st unix.Stat_t
	if err := unix.Stat(cmp.Or(dir, "."), &st); err != nil {
		return false // nothing can be written there
	}
	return st.Mode&0o022 != 0 || st.Uid != 0 && int(st.Uid) != os.Geteuid()
}
