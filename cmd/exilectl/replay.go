package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec" // the daemon's own program has the jails
	"path/filepath"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"exile/internal/replay"
)

// replayFlags say what is replayed, and with which rules.
type replayFlags struct {
	dir      string
	files    []string
	logs     []string
	when     periodFlags
	config   string
	jails    []string
	settings []string
	compare  string
}

func newReplayCommand(o *options) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Show whom a configuration would have banned, from the log",
		Long: "Run the jails of the configuration, or of another one, over the journal or over logs, as the daemon would have, and say whom they\n" +
			"would have banned, and which attempts these bans would have prevented. Who is never banned, and which accounts and\n" +
			"administrators there are, is taken from this host as it is now. Needs the right to read the log, but no daemon, and bans nobody.",
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if o.host != "" {
				return errors.New("replay works on local files: run it on the other host")
			}
			return f.check(o.machine)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return o.replay(cmd.Context(), &f) },
	}
	f.register(cmd, o)
	cmd.Flags().StringVar(&f.compare, "compare", "", "Compare with the configuration of a file, or with what fail2ban would have done: `WITH` is FILE or fail2ban")
	completeFlag(cmd, "compare", completeFiles)
	return cmd
}

// register registers the options that say what is read, and with which rules.
func (f *replayFlags) register(cmd *cobra.Command, o *options) {
	f.registerLog(cmd, o)
	cmd.Flags().StringArrayVar(&f.settings, "set", nil, "Change a setting of these jails: `KEY=VALUE`, such as maxretry=3; may be repeated")
	completeFlag(cmd, "set", cobra.NoFileCompletions)
}

// registerLog registers the options that say what is read, and by which jails.
func (f *replayFlags) registerLog(cmd *cobra.Command, o *options) {
	flags := cmd.Flags()
	flags.StringVarP(&f.dir, "directory", "D", "", "Read the journal files in `DIR`")
	flags.StringArrayVar(&f.files, "file", nil, "Read the journal file `FILE`; may be repeated")
	flags.StringArrayVar(&f.logs, "logfile", nil, "Read a text log, also compressed with gzip, or what journalctl printed: `FILE`, or -; may be repeated")
	flags.StringVar(&f.config, "config", "", "Take the configuration of `FILE` in place of the usual files")
	flags.StringArrayVar(&f.jails, "jail", nil, "Run only the jail `NAME`, even if it is not enabled; may be repeated")
	for _, name := range []string{"directory", "file", "logfile", "config"} {
		completeFlag(cmd, name, completeFiles)
	}
	completeFlag(cmd, "jail", completeJails(o))
	f.when.register(cmd, "what happened")
}

// check refuses options that name several logs.
func (f *replayFlags) check(machine string) error {
	named := 0
	for _, is := range []bool{f.dir != "", len(f.files) > 0, len(f.logs) > 0, machine != ""} {
		if is {
			named++
		}
	}
	if named > 1 {
		return errors.New("--directory, --file, --logfile and --machine exclude each other")
	}
	return nil
}

// request is what the daemon's program is asked.
func (f *replayFlags) request(o *options, c *console) (replay.Request, error) {
	during, err := f.when.read(time.Now())
	return replay.Request{
		Directory: f.dir, Files: f.files, Logs: f.logs, Machine: o.machine, Since: during.since, Until: during.until, Config: f.config,
		Jails: f.jails, Settings: f.settings, Compare: f.compare, Document: c.wantJSON(), Pretty: c.json == jsonPretty,
		Progress: !o.quiet && isTerminal(os.Stderr),
	}, err
}

// replay has the daemon's program replay a log, and prints the answer. An interrupt reaches that program, too, which then answers with what it
// has found.
func (o *options) replay(ctx context.Context, f *replayFlags) error {
	c := o.newConsole(os.Stdout)
	asked, err := f.request(o, c)
	if err != nil {
		return err
	}
	rep, in, ended, err := beginReplay(ctx, asked)
	if err != nil {
		return err
	}
	if asked.Document {
		err = copyDocument(c, in)
	} else {
		err = printReplay(o, c, rep)
	}
	if err := errors.Join(err, flush(c), ended()); err != nil {
		return err
	}
	return sayTroubles(rep.Troubles, rep.Interrupted)
}

// sayTroubles says what could not be read, after what was found.
func sayTroubles(troubles []string, interrupted bool) error {
	for _, t := range troubles {
		fmt.Fprintln(os.Stderr, quoteLines(sentences(t)))
	}
	if interrupted {
		return context.Canceled
	}
	return nil
}

// beginReplay asks the daemon's program, and returns its report, what follows that, and what waits for its end.
func beginReplay(ctx context.Context, asked replay.Request) (rep *replay.Report, in *bufio.Reader, ended func() error, err error) {
	rep = new(replay.Report)
	in, ended, err = askReplay(ctx, asked, rep)
	return rep, in, ended, err
}

// askReplay is beginReplay with a report of any type.
func askReplay(ctx context.Context, asked replay.Request, rep any) (in *bufio.Reader, ended func() error, err error) {
	answer, ended, err := startReplay(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	in = bufio.NewReader(answer)
	line, _ := in.ReadBytes('\n') // a line that is not whole is no JSON
	var failed struct {
		Error string `json:"error"`
	}
	if err := errors.Join(json.Unmarshal(line, &failed), json.Unmarshal(line, rep)); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("failed to replay: exiled gave no answer: %w", err), ended())
	}
	if failed.Error != "" {
		_ = ended() // it has said why
		return nil, nil, fmt.Errorf("failed to replay: %s", failed.Error)
	}
	return in, ended, nil
}

// replayReport replays what nobody wants to see bans of.
func replayReport(ctx context.Context, asked replay.Request) (*replay.Report, error) {
	rep, _, ended, err := beginReplay(ctx, asked)
	if err != nil {
		return nil, err
	}
	return rep, ended()
}

// startReplay starts the daemon's program with the rights of the caller.
func startReplay(ctx context.Context, asked replay.Request) (answer io.Reader, ended func() error, err error) {
	program, err := replayProgram()
	if err != nil {
		return nil, nil, err
	}
	request, err := requestFile(asked)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to replay: %w", err)
	}
	defer request.Close()
	cmd := exec.CommandContext(ctx, program, "--replay=/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{request}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("failed to replay: %w", err)
	}
	return out, func() error {
		_ = out.Close() // if not all was read, the program must not wait for that
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("failed to replay: %s: %w", program, err)
		}
		return nil
	}, nil
}

// requestFile is a file in memory with what is asked: an argument can have 128 KiB, and the standard input may be the log.
func requestFile(asked replay.Request) (*os.File, error) {
	text, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("exilectl-replay", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "exilectl-replay")
	if _, err := f.Write(text); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// replayProgram is the daemon's program that was installed, or built, with this one.
func replayProgram() (string, error) {
	program, err := daemonProgram("exiled")
	if err == nil {
		return program, nil
	}
	self, selfErr := os.Executable()
	if selfErr != nil {
		return "", selfErr
	}
	beside := filepath.Join(filepath.Dir(self), "exiled")
	if _, other := os.Stat(beside); other != nil {
		return "", fmt.Errorf("the jails are in the daemon's program, which is not installed: %w", err)
	}
	return beside, nil
}

// copyDocument copies JSON, and keeps its strings from affecting a terminal.
func copyDocument(c *console, in *bufio.Reader) error {
	buffer := make([]byte, 0, 64<<10)
	for {
		n, err := in.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		whole := len(buffer) - partial(buffer)
		if err != nil {
			whole = len(buffer)
		}
		if _, err := (harmless{c}).Write(buffer[:whole]); err != nil {
			return err
		}
		buffer = buffer[:copy(buffer, buffer[whole:])]
		if errors.Is(err, io.EOF) {
			c.line()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// partial is how many bytes at the end are the beginning of a character.
func partial(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
