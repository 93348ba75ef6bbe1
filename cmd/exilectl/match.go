package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"exile/internal/config"
	"exile/jail"
	"exile/jail/filter"
	"exile/jail/filter/services"
	"exile/journal"
	"exile/journal/printed"
	"exile/journal/textlog"
)

func newMatchCommand(o *options) *cobra.Command {
	name, how, zone := "sshd", filter.Options{}, "Local"
	cmd := &cobra.Command{
		Use:   "match [FILE|-]",
		Short: "Show what a filter makes of each line of a log",
		Long: "Read log lines, with or without syslog's time, host and tag, or the output of journalctl with any --output but\n" +
			"verbose, and say what each line is and how many login attempts it adds. Lines marked * count. Needs no daemon and\n" +
			"no privileges.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := openFilter(name, how)
			if err != nil {
				return err
			}
			location, err := time.LoadLocation(zone)
			if err != nil {
				return fmt.Errorf("unknown time zone %q: timedatectl list-timezones lists them", zone)
			}
			return withInput(args, func(in *os.File) error {
				return o.paged(func(c *console) error {
					input := printed.New(in, location)
					input.Form(f.form)
					return match(c, input, f)
				})
			})
		},
	}
	cmd.Flags().StringVar(&name, "filter", name, "Read the lines with a filter: `NAME` of list-filters, or a file")
	completeFlag(cmd, "filter", completeFilters)
	cmd.Flags().StringVar(&how.Mode, "mode", "normal", "What counts: `MODE` is normal, ddos, extra or aggressive")
	cmd.Flags().StringVar(&how.Publickey, "publickey", "invalid", "Whether refused keys count: `WHICH` is invalid, any or ignore")
	cmd.Flags().StringVar(&zone, "timezone", zone, "Read times that name no zone in `ZONE`, such as UTC or Europe/Berlin")
	completeFlag(cmd, "timezone", cobra.NoFileCompletions)
	completeFlag(cmd, "mode", completeWords("normal", "ddos", "extra", "aggressive"))
	completeFlag(cmd, "publickey", completeWords("invalid", "any", "ignore"))
	return cmd
}

// withInput opens the file, or the standard input for - and without a name.
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

// lineFilter is a filter with what match has to know of it.
type lineFilter struct {
	jail.Filter
	identifiers []string          // of its lines; none: of all
	form        textlog.Form      // of its lines
	nearest     *services.Nearest // of lines that match nothing; nil: the filter cannot say
}

// openFilter returns the filter of that name, or in that file.
func openFilter(name string, how filter.Options) (lineFilter, error) {
	if name == "sshd" {
		f, err := filter.New(name, how)
		return lineFilter{Filter: f, identifiers: filter.Identifiers(name)}, err
	}
	s, err := config.Sources{}.Filter(name)
	if err != nil {
		return lineFilter{}, err
	}
	if !services.IsMode(how.Mode) {
		return lineFilter{}, fmt.Errorf("mode %q: must be one of normal, ddos, extra, aggressive", how.Mode)
	}
	return lineFilter{Filter: s.Filter(how.Mode), identifiers: s.Identifiers, form: textlog.Form(s.Form), nearest: s.Nearest()}, nil
}

// match prints what each line of in is.
func match(c *console, in *printed.Log, f lineFilter) error {
	m := &matcher{out: c, filter: f.Filter, identifiers: f.identifiers, nearest: f.nearest, conns: jail.NewConnections()}
	for {
		number, line, err := in.Next()
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

// matcher reads the lines of one file as one stream.
type matcher struct {
	out         *console
	filter      jail.Filter
	identifiers []string
	nearest     *services.Nearest
	conns       *jail.Connections
	now         time.Time // of the last line
	queue       []matched // not printed yet: the first one waits for what follows it
	attempts    []jail.Attempt
	summary     summary
}

// matched describes a line.
type matched struct {
	Line     int     `json:"line"`
	Kind     string  `json:"kind"`
	Counts   bool    `json:"counts"`
	Address  *string `json:"address"` // null: the line names none
	User     *string `json:"user"`    // null: the line names none
	Rule     string  `json:"rule"`    // empty: no rule matches the line
	Attempts int     `json:"attempts"`
	Nearest  string  `json:"nearest,omitempty"` // the pattern that came closest, of a line that none matches
	Reached  string  `json:"reached,omitempty"` // the beginning of the line that it matches
	message  string
}

// maxQueue is how many lines may wait until the weight of a PAM failure is known.
const maxQueue = 50_000

// observe reads a line, and prints what is certain so far.
func (m *matcher) observe(number int, line textlog.Line) error {
	if !line.Time.IsZero() {
		m.now = line.Time
	}
	m.attempts = m.conns.Advance(m.now, m.attempts[:0])
	m.settle()
	e := journal.Entry{Time: m.now, PID: line.PID, Message: line.Message, Position: journal.Position{Seqnum: uint64(number)}}
	var ev jail.Event
	if m.wants(line.Identifier) {
		ev = m.conns.Resolve(jail.Parse(m.filter, &e), m.now)
	}
	r := newMatched(number, &ev, line.Message)
	if m.nearest != nil && ev.Rule == "" {
		pattern, n := m.nearest.Of(line.Message)
		r.Nearest, r.Reached = pattern, string(line.Message[:n])
	}
	m.queue = append(m.queue, r)
	m.attempts = m.conns.Observe(ev, &e, m.attempts[:0])
	if len(m.queue) > maxQueue {
		m.attempts = m.conns.Advance(m.now.Add(2*jail.LoginGrace), m.attempts)
	}
	m.settle()
	return m.print()
}

// wants reports whether the filter reads lines of that program. journalctl's with-unit formats print the unit instead, whose
// programs are unknown.
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

// settle adds new attempts to the lines that showed them.
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

// print prints the lines before the first one that waits.
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

// finish prints the rest: nothing more can change it.
func (m *matcher) finish() error {
	m.attempts = m.conns.Advance(m.now.Add(2*jail.LoginGrace), m.attempts[:0])
	m.settle()
	if err := m.print(); err != nil || m.out.wantJSON() {
		return err
	}
	m.summary.print(m.out)
	return nil
}
