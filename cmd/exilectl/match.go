package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
	"exile/journal/textlog"
)

func newMatchCommand(o *options) *cobra.Command {
	name, how, zone := "sshd", filter.Options{}, "Local"
	cmd := &cobra.Command{
		Use:   "match [FILE|-]",
		Short: "Say what each line of a log is to a filter",
		Long: "Reads log lines, with or without syslog's time, host and tag, or what journalctl prints with any --output but\n" +
			"verbose, and says for each what it is and how many attempts to log in it adds. Lines marked * count. Asks no daemon\n" +
			"and needs no privileges.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := filter.New(name, how)
			if err != nil {
				return err
			}
			location, err := time.LoadLocation(zone)
			if err != nil {
				return fmt.Errorf("time zone %q is unknown: name one as timedatectl list-timezones does", zone)
			}
			return withInput(args, func(in *os.File) error {
				return o.paged(func(c *console) error {
					return match(c, newLogInput(in, location), f, filter.Identifiers(name))
				})
			})
		},
	}
	cmd.Flags().StringVar(&name, "filter", name, "Read the lines with filter `NAME`")
	cmd.Flags().StringVar(&how.Mode, "mode", "normal", "What counts: `MODE` is normal, ddos, extra or aggressive")
	cmd.Flags().StringVar(&how.Publickey, "publickey", "invalid", "Whether refused keys count: `WHICH` is invalid, any or ignore")
	cmd.Flags().StringVar(&zone, "timezone", zone, "Read times that name no zone in `ZONE`, such as UTC or Europe/Berlin")
	completeFlag(cmd, "timezone", cobra.NoFileCompletions)
	completeFlag(cmd, "mode", completeWords("normal", "ddos", "extra", "aggressive"))
	completeFlag(cmd, "publickey", completeWords("invalid", "any", "ignore"))
	return cmd
}

// withInput opens the file, or the standard input for - and for none.
func withInput(args []string, f func(*os.File) error) error {
	if len(args) == 0 || args[0] == "-" {
		return f(os.Stdin)
	}
	file, err := os.Open(args[0])
	if err != nil {
		return fmt.Errorf("failed to open log: %w", err)
	}
	defer file.Close()
	return f(file)
}

// match prints what each line of in is.
func match(c *console, in *logInput, f jail.Filter, identifiers []string) error {
	m := &matcher{out: c, filter: f, identifiers: identifiers, conns: jail.NewConnections()}
	for {
		number, line, err := in.next()
		if errors.Is(err, io.EOF) {
			return m.finish()
		}
		if err != nil {
			return err
		}
		if err := m.observe(number, line); err != nil {
			return err
		}
	}
}

// maxLine is how much of a line is read; sshd writes 500 bytes.
const maxLine = 64 << 10

// readLine returns the next line without its end, cut at maxLine. It is valid until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = slices.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
	}
	if len(line) > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	return line, err
}

// matcher reads the lines of one file as one stream.
type matcher struct {
	out         *console
	filter      jail.Filter
	identifiers []string
	conns       *jail.Connections
	now         time.Time // of the last line
	queue       []matched // not printed yet: the first waits for what follows it
	attempts    []jail.Attempt
	summary     summary
}

// matched is what a line is.
type matched struct {
	Line     int     `json:"line"`
	Kind     string  `json:"kind"`
	Counts   bool    `json:"counts"`
	Address  *string `json:"address"` // null: the line names none
	User     *string `json:"user"`    // null: the line names none
	Rule     string  `json:"rule"`    // empty: no rule knows the line
	Attempts int     `json:"attempts"`
	message  string
}

// maxQueue is how many lines wait for a PAM failure to gain its weight.
const maxQueue = 50_000

// observe reads a line, and prints what is certain by now.
func (m *matcher) observe(number int, line textlog.Line) error {
	if !line.Time.IsZero() {
		m.now = line.Time
	}
	m.attempts = m.conns.Advance(m.now, m.attempts[:0])
	m.settle()
	var ev jail.Event
	if m.wants(line.Identifier) {
		ev = m.conns.Resolve(m.filter.Parse(line.Message), m.now)
	}
	m.queue = append(m.queue, newMatched(number, &ev, line.Message))
	e := journal.Entry{Time: m.now, PID: line.PID, Position: journal.Position{Seqnum: uint64(number)}}
	m.attempts = m.conns.Observe(ev, &e, m.attempts[:0])
	if len(m.queue) > maxQueue {
		m.attempts = m.conns.Advance(m.now.Add(2*jail.LoginGrace), m.attempts)
	}
	m.settle()
	return m.print()
}

// wants reports whether the filter is for lines of that program. Of the unit that journalctl's with-unit puts in its place
// nobody knows the programs.
func (m *matcher) wants(identifier []byte) bool {
	return len(identifier) == 0 || m.identifiers == nil || slices.Contains(m.identifiers, string(identifier)) ||
		bytes.HasSuffix(identifier, []byte(".service"))
}

func newMatched(number int, ev *jail.Event, message []byte) matched {
	r := matched{Line: number, Kind: kindNames[ev.Kind], Counts: ev.Counts, Rule: ev.Rule, message: string(message)}
	if ev.Addr.IsValid() {
		r.Address = new(ev.Addr.String())
	}
	if ev.User != nil {
		r.User = new(string(ev.User))
	}
	return r
}

var kindNames = [...]string{
	jail.None: "none", jail.Failure: "failure", jail.Probe: "probe", jail.NoMatch: "probe", jail.Success: "success", jail.End: "end",
}

// settle books new attempts on the lines that showed them.
func (m *matcher) settle() {
	for i := range m.attempts {
		a := &m.attempts[i]
		m.summary.add(a)
		if len(m.queue) == 0 {
			continue
		}
		if at := int(a.Position.Seqnum) - m.queue[0].Line; at >= 0 && at < len(m.queue) {
			r := &m.queue[at]
			r.Attempts += a.Guesses
			if r.Address == nil {
				r.Address = new(a.Addr.String())
			}
		}
	}
}

// print prints the lines in front of the first that waits.
func (m *matcher) print() error {
	n := len(m.queue)
	for p := range m.conns.Waits {
		n = min(n, max(int(p.Seqnum)-m.queue[0].Line, 0))
	}
	for i := range m.queue[:n] {
		if err := m.printLine(&m.queue[i]); err != nil {
			return err
		}
	}
	clear(m.queue[:n])
	m.queue = m.queue[n:]
	return nil
}

// finish prints what is left: nothing follows that could change it.
func (m *matcher) finish() error {
	m.attempts = m.conns.Advance(m.now.Add(2*jail.LoginGrace), m.attempts[:0])
	m.settle()
	if err := m.print(); err != nil || m.out.wantJSON() {
		return err
	}
	m.summary.print(m.out)
	return nil
}
