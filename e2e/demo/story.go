package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"exile/e2e/target"
)

// story prints the timeline.
type story struct {
	out    io.Writer
	start  time.Time
	colour bool
}

// newStory colours its lines when out is a terminal whose user has nothing against it.
func newStory(out *os.File) *story {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &story{
		out: out, start: time.Now(),
		colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

// The colours, as SGR parameters.
const (
	plain = "0"
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	alarm = "1;37;41" // white on red
)

func (s *story) paint(colour, text string) string {
	if !s.colour || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// line prints when, a mark, who, and what.
func (s *story) line(colour, mark, who, what string) {
	at := fmt.Sprintf("%7.3f s", time.Since(s.start).Seconds())
	fmt.Fprintf(s.out, "  %s  %s %s%s\n", s.paint(dim, at), s.paint(colour, mark), s.paint(colour, fmt.Sprintf("%-13s", who)), what)
}

func (s *story) title(what, more string) {
	fmt.Fprintf(s.out, "\n  %s %s\n\n", s.paint(bold, what+":"), more)
}

func (s *story) note(who, what string) { s.line(plain, "·", who, what) }
func (s *story) good(who, what string) { s.line(green, "✓", who, what) }
func (s *story) bad(who, what string)  { s.line(red, "✗", who, what) }

func (s *story) ban(what, latency, meaning string) {
	s.line(alarm, "■", "EXILED", what)
	s.line(plain, " ", "", s.paint(bold, latency)+" "+meaning)
}

// command runs a command on the host and shows what it prints.
func (s *story) command(ctx context.Context, t *target.Target, args ...string) error {
	out, err := t.Run(ctx, args...)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "             %s\n", s.paint(bold, "$ "+strings.Join(args, " ")))
	for line := range strings.Lines(out) {
		fmt.Fprintf(s.out, "               %s", s.paint(dim, strings.TrimRight(line, "\n"))+"\n")
	}
	return nil
}

func (s *story) failed(err error) {
	fmt.Fprintf(s.out, "\n  %s %v\n", s.paint(alarm, "FAILED"), err)
}
