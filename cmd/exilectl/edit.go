package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"exile/dbusapi/client"
	"exile/internal/config"
	"exile/jail/filter/services"
)

func newEditCommand(o *options) *cobra.Command {
	var filter string
	cmd := &cobra.Command{
		Use:   "edit [FILE]",
		Short: "Edit the configuration, check it and put it in force",
		Long: "Edit a copy of the main file of the configuration, or of another file, with $SYSTEMD_EDITOR, $EDITOR, $VISUAL or any editor found.\n" +
			"Without mistakes the copy replaces the file and is put in force; otherwise the file stays as it is, and you can edit again.\n" +
			"With --filter that is a filter in /etc/exile/filters.d, at first a copy of the one there is, whose samples must come true.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := context.WithoutCancel(cmd.Context()) // ^C belongs to the editor
			switch {
			case filter != "" && len(args) > 0:
				return errors.New("name a file or, with --filter, a filter")
			case filter != "":
				return o.editFilter(ctx, config.Sources{}, filter)
			}
			file, err := filepath.Abs(cmp.Or(strings.Join(args, ""), config.Sources{}.Main()))
			if err != nil {
				return err
			}
			return o.edit(ctx, draft{file: file})
		},
	}
	cmd.Flags().StringVar(&filter, "filter", "", "Edit the filter `NAME` of list-filters")
	completeFlag(cmd, "filter", completeFilters)
	return cmd
}

// editFilter edits the filter of that name in /etc. If /etc has none yet, the editor starts with a copy of the filter in use, which the new file
// then replaces.
func (o *options) editFilter(ctx context.Context, from config.Sources, name string) error {
	d, err := filterDraft(from, name)
	if err != nil {
		return err
	}
	return o.edit(ctx, d)
}

// filterDraft is the draft of a filter that there is.
func filterDraft(from config.Sources, name string) (draft, error) {
	if name == "sshd" {
		return draft{}, errors.New("the filter sshd is a part of exiled and no file: write one of another name with exilectl new-filter")
	}
	if !services.IsName(name) {
		return draft{}, fmt.Errorf("%q is no name for a filter: lower-case letters, digits and dashes", name)
	}
	text, err := from.FilterText(name)
	if err != nil {
		return draft{}, err
	}
	dir := filepath.Join(filepath.Dir(from.Main()), config.FilterDir)
	return draft{file: filepath.Join(dir, name+services.Suffix), from: from, first: text}, makeFolder(dir)
}

// firstText is the beginning of a new configuration.
const firstText = "# The configuration of exiled, see exile.yaml(5). exilectl cat-config shows the settings that are not made here.\n"

func (o *options) edit(ctx context.Context, d draft) error {
	file := d.file
	if err := d.begin(); err != nil {
		return failure(err, "edit %s", file)
	}
	defer d.end()
	for {
		text, err := d.edited()
		switch {
		case err != nil:
			return failure(err, "edit %s", file)
		case text == d.before:
			return o.say("Nothing was changed.")
		}
		said, err := o.putInForce(ctx, &d, text)
		if err == nil {
			return o.say(said)
		}
		fmt.Fprintln(os.Stderr, quoteLines(sentences(strings.ReplaceAll(err.Error(), d.copy, file))))
		if !editAgain(ctx) {
			return fmt.Errorf("%s stays as it was", file)
		}
	}
}

// say prints a line, unless --quiet.
func (o *options) say(text string) error {
	c := o.newConsole(os.Stdout)
	if !o.quiet {
		c.line(quoteLines(text))
	}
	return flush(c)
}

// putInForce replaces the file by a text without mistakes. What the daemon rejects is undone.
func (o *options) putInForce(ctx context.Context, d *draft, text string) (said string, err error) {
	if err := d.check(); err != nil {
		return "", err
	}
	if err := d.install(text); err != nil {
		return "", err
	}
	_, err = config.Load(d.from) // with the other files
	if err != nil && d.broken {
		return fmt.Sprintf("Wrote %s. It is not in force, because mistakes remain:\n%v", d.file, err), nil
	}
	if err == nil {
		err = o.attended(ctx, func(ctx context.Context, d daemon, _ *console) error { return d.Reload(ctx) })
	}
	if isStopped(err) {
		return fmt.Sprintf("Wrote %s. exiled is not running and will read it when it starts.", d.file), nil
	}
	if err != nil {
		return "", errors.Join(err, d.restore())
	}
	return fmt.Sprintf("Wrote %s, which is in force.", d.file), nil
}

// isStopped reports whether no daemon was running.
func isStopped(err error) bool {
	if remote, ok := errors.AsType[*client.RemoteError](err); ok {
		return remote.NotRunning()
	}
	exit, ok := errors.AsType[*exitError](err)
	return ok && exit.status == exitNotRunning
}

// editAgain asks at a terminal. Elsewhere nobody can answer. From now on a ^C is an answer; before, it was the editor's.
func editAgain(ctx context.Context) bool {
	if !isTerminal(os.Stdin) || !isTerminal(os.Stdout) {
		return false
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	for {
		fmt.Print("(e)dit again, or (q)uit and change nothing? ")
		answer, err := answered(ctx, os.Stdin)
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "e", "edit":
			return true
		case "q", "quit":
			return false
		}
		if err != nil {
			return false
		}
	}
}

// answered reads a line, unless ctx ends first; then nothing more can be read, because the pending read goes on.
func answered(ctx context.Context, from io.Reader) (line string, err error) {
	read := make(chan struct{})
	var text string
	var failed error
	go func() {
		defer close(read)
		text, failed = bufio.NewReader(io.LimitReader(from, 1024)).ReadString('\n')
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-read:
		return text, failed
	}
}

// draft is a copy of a file that is being edited.
type draft struct {
	file   string
	from   config.Sources // the configuration that it is a part of
	ours   bool           // exilectl itself wrote the text
	first  string         // the beginning of a new file; empty: that of its kind
	before string
	exists bool
	broken bool   // the files had mistakes before
	dir    string // only ours
	copy   string
}

// maxEdited is how much of a file is read: the daemon accepts no larger one.
const maxEdited = 1 << 20

// begin makes the copy where nobody else can reach it.
func (d *draft) begin() (err error) {
	if err := errors.Join(onlyOurs(d.file), onlyOurs(filepath.Dir(d.file))); err != nil {
		return err
	}
	if err := unix.Access(filepath.Dir(d.file), unix.W_OK); err != nil {
		return fmt.Errorf("%s: %w", filepath.Dir(d.file), err)
	}
	d.before, err = readBounded(d.file)
	if d.exists = err == nil; err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !d.exists {
		d.before = cmp.Or(d.first, d.firstText())
	}
	_, err = config.Load(d.from)
	d.broken = err != nil
	parent := os.TempDir()
	if os.Geteuid() == 0 { // the owner of the parent could put another copy there
		if parent, err = makeRuntimeDirectory(); err != nil {
			return err
		}
	}
	if d.dir, err = os.MkdirTemp(parent, "edit-"); err != nil {
		return err
	}
	d.copy = filepath.Join(d.dir, filepath.Base(d.file))
	return os.WriteFile(d.copy, []byte(d.before), 0o600)
}

// isFilter reports whether the file is a filter.
func (d *draft) isFilter() bool { return filepath.Base(filepath.Dir(d.file)) == config.FilterDir }

func (d *draft) firstText() string {
	if d.isFilter() {
		return services.Template
	}
	return firstText
}

// check checks the copy by itself.
func (d *draft) check() error {
	if d.ours {
		return nil // the files together are checked, too
	}
	if d.isFilter() {
		_, err := d.from.Filter(d.copy)
		return err
	}
	_, err := config.Load(config.Sources{File: d.copy})
	return err
}

// end removes everything.
func (d *draft) end() {
	if d.dir != "" {
		_ = os.RemoveAll(d.dir)
	}
	if os.Geteuid() == 0 {
		_ = os.Remove(runtimeDirectory()) // unless something is on trial
	}
}

// edited runs the editor and returns the text that it saves.
func (d *draft) edited() (string, error) {
	argv := editorCommand()
	if argv == nil {
		return "", errors.New("no editor found: name one in $EDITOR")
	}
	cmd := exec.Command(argv[0], append(argv[1:], d.copy)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w; nothing was changed", argv[0], err)
	}
	return readBounded(d.copy)
}

// editorCommand is the editor that systemctl edit would take; nil: none found.
func editorCommand() []string {
	for _, name := range []string{"SYSTEMD_EDITOR", "EDITOR", "VISUAL"} {
		if argv := strings.Fields(os.Getenv(name)); len(argv) > 0 {
			return argv
		}
	}
	for _, name := range []string{"editor", "nano", "vim", "vi"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}
		}
	}
	return nil
}

// install replaces the file by a text, unless somebody else has changed it meanwhile.
func (d *draft) install(text string) error {
	now, err := readBounded(d.file)
	if (err == nil) != d.exists || d.exists && now != d.before {
		return fmt.Errorf("%s was meanwhile changed by somebody else", d.file)
	}
	return replaceFile(d.file, text)
}

func (d *draft) restore() error {
	if d.exists {
		return replaceFile(d.file, d.before)
	}
	return os.Remove(d.file)
}

func readBounded(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxEdited+1))
	if err == nil && len(text) > maxEdited {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxEdited)
	}
	return string(text), err
}
