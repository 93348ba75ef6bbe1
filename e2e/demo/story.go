package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"exile/e2e/target"
)

// story prints the timeline.
type story struct {
	out   io.Writer
	start time.Time
}

// newStory colours its lines if out is a terminal and its user does not object, and always colours those of the picture, if
// one is wanted.
func newStory(out *os.File, picture io.Writer) *story {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	s := &story{out: out, start: time.Now()}
	if !terminal || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		s.out = uncoloured{out}
	}
	if picture != nil {
		s.out = io.MultiWriter(s.out, picture)
	}
	return s
}

// uncoloured removes the colours from whole writes.
type uncoloured struct{ io.Writer }

var sgr = regexp.MustCompile("\x1b\\[([0-9;]*)m")

func (u uncoloured) Write(p []byte) (int, error) {
	_, err := u.Writer.Write(sgr.ReplaceAll(p, nil))
	return len(p), err
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

func paint(colour, text string) string {
	if colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// line prints when, a mark, who, and what.
func (s *story) line(colour, mark, who, what string) {
	at := fmt.Sprintf("%7.3f s", time.Since(s.start).Seconds())
	fmt.Fprintf(s.out, "  %s  %s %s%s\n", paint(dim, at), paint(colour, mark), paint(colour, fmt.Sprintf("%-13s", who)), what)
}

func (s *story) title(what, more string) {
	fmt.Fprintf(s.out, "\n  %s %s\n\n", paint(bold, what+":"), more)
}

func (s *story) note(who, what string) { s.line(plain, "·", who, what) }
func (s *story) good(who, what string) { s.line(green, "✓", who, what) }
func (s *story) bad(who, what string)  { s.line(red, "✗", who, what) }

func (s *story) ban(what, latency, meaning string) {
	s.line(alarm, "■", "EXILED", what)
	s.line(plain, " ", "", strings.TrimSpace(paint(bold, latency)+" "+meaning))
}

// command runs a command on the host and shows what it prints.
func (s *story) command(ctx context.Context, t *target.Target, args ...string) error {
	out, err := t.Run(ctx, args...)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "             %s\n", paint(bold, "$ "+strings.Join(args, " ")))
	for line := range strings.Lines(out) {
		fmt.Fprintf(s.out, "               %s", paint(dim, strings.TrimRight(line, "\n"))+"\n")
	}
	return nil
}

func (s *story) failed(err error) {
	fmt.Fprintf(s.out, "\n  %s %v\n", paint(alarm, "FAILED"), err)
}
