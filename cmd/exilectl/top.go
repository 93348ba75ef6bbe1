package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newTopCommand(o *options) *cobra.Command {
	every := interval(time.Second)
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show attackers, rates and bans, live",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !isTerminal(os.Stdout) {
				return errors.New("top needs a terminal; exilectl monitor and exilectl status do not")
			}
			d, err := o.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer d.Close()
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			m := &screen{ctx: ctx, daemon: d, every: max(time.Duration(every), 100*time.Millisecond), options: o, width: 80, height: 24}
			p := tea.NewProgram(m, tea.WithContext(ctx))
			go func() { p.Send(unheard{d.Watch(ctx, func(e control.Event) { p.Send(e) })}) }()
			_, err = p.Run()
			if errors.Is(err, tea.ErrProgramKilled) && cmd.Context().Err() != nil {
				err = nil // interrupted
			}
			return errors.Join(err, m.err)
		},
	}
	cmd.Flags().VarP(&every, "delay", "d", "Refresh every `TIME`: 2, 0.5 or 500ms")
	return cmd
}

// interval is a time as top(1) takes it: a number of seconds, or a number with a unit.
type interval time.Duration

// Set implements pflag.Value.
func (p *interval) Set(s string) error {
	d, err := time.ParseDuration(s)
	if n, err2 := strconv.ParseFloat(s, 64); err2 == nil && n >= 0 && n < 1e6 {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return errors.New("not a time (like 2, 0.5 or 500ms)")
	}
	*p = interval(d)
	return nil
}

// String implements pflag.Value.
func (p *interval) String() string { return time.Duration(*p).String() }

// Type implements pflag.Value.
func (p *interval) Type() string { return "duration" }

// maxRecent is how many events the screen remembers.
const maxRecent = 100

// screen is the model of top.
type screen struct {
	ctx     context.Context
	daemon  control.Reader
	options *options
	every   time.Duration

	width, height int
	now, before   sample
	recent        []control.Event // newest first
	trouble       error           // why the shown values are not current
	err           error           // why it ends
}

// unheard is the reason why no more events come; nil at the end.
type unheard struct{ err error }

// sample is what the daemon said at some time.
type sample struct {
	at     time.Time
	status control.Status
	hosts  []control.Host
	err    error
}

// Init implements tea.Model.
func (s *screen) Init() tea.Cmd { return s.look }

// Update implements tea.Model.
func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c":
			return s, tea.Quit
		}
	case control.Event:
		s.recent = append([]control.Event{msg}, s.recent[:min(len(s.recent), maxRecent-1)]...)
	case unheard:
		if msg.err != nil {
			s.err = failure(msg.err, "watch bans")
		}
		return s, tea.Quit
	case sample:
		s.take(msg)
		if s.err != nil {
			return s, tea.Quit
		}
		return s, tea.Tick(s.every, func(time.Time) tea.Msg { return s.look() })
	}
	return s, nil
}

// take shows the daemon's answer. If the daemon falls silent after answering once, it may be about to start again.
func (s *screen) take(new sample) {
	switch {
	case new.err == nil:
		s.before, s.now, s.trouble = s.now, new, nil
	case s.now.at.IsZero():
		s.err = failure(new.err, "get status")
	default:
		s.trouble = failure(new.err, "get status")
	}
}

// look asks the daemon; it runs outside of Update.
func (s *screen) look() tea.Msg {
	out := sample{at: time.Now()}
	out.status, out.err = s.daemon.Status(s.ctx)
	if out.err == nil {
		out.hosts, out.err = allHosts(s.ctx, s.daemon, nil)
	}
	slices.SortStableFunc(out.hosts, func(a, b control.Host) int { return b.Failures - a.Failures })
	return out
}

// View implements tea.Model.
func (s *screen) View() tea.View {
	var b bytes.Buffer
	c := s.options.newConsole(&b)
	c.width, c.now, c.legend = s.width, s.now.at, true
	if !s.now.at.IsZero() { // until then it would say that nobody is banned
		s.draw(c)
	}
	_ = c.Flush() // into memory
	v := tea.NewView(b.String())
	v.AltScreen = true
	return v
}

// draw prints three parts: the daemon, the counted addresses, the latest events.
func (s *screen) draw(c *console) {
	st := s.now.status
	c.line(c.paint(stateColor(st.State), "●"), " exiled ", clean(st.Version), " ", clean(st.State), ", ", clean(st.Backend),
		fmt.Sprintf(": %d banned, %d failing", st.Banned, st.Failing))
	if s.trouble != nil {
		c.line(c.paint(yellow, sentences(clean(s.trouble.Error()))))
	} else {
		c.line(s.rates())
	}
	c.line("")
	room := max((s.height-7)/2, 1)
	hosts := s.now.hosts[:min(len(s.now.hosts), room)]
	_ = printHostsShort(c, hosts)
	c.line("")
	c.line(c.paint(underline, "RECENT"))
	for _, e := range s.recent[:min(len(s.recent), room)] {
		c.line(c.eventLine(e))
	}
}

func (s *screen) rates() string {
	return fmt.Sprintf("%.1f entries/s, %.1f failures/s, %.1f bans/s, %.1f unbans/s", s.rate(entries), s.rate(failures), s.rate(bans), s.rate(unbans))
}

// Counters whose rates top shows.
func entries(s control.Status) uint64  { return s.Entries }
func failures(s control.Status) uint64 { return s.Failures }
func bans(s control.Status) uint64     { return s.Bans }
func unbans(s control.Status) uint64   { return s.Unbans }

// rate is a counter's growth per second; 0 before the second look and after a reset of the counters.
func (s *screen) rate(counter func(control.Status) uint64) float64 {
	d := s.now.at.Sub(s.before.at).Seconds()
	a, b := counter(s.before.status), counter(s.now.status)
	if s.before.at.IsZero() || d <= 0 || b < a {
		return 0
	}
	return float64(b-a) / d
}

func printHostsShort(c *console, hosts []control.Host) error {
	mode := c.json
	c.json = jsonOff
	defer func() { c.json = mode }()
	return printHosts(c, hosts)
}
