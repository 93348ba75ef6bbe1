package main

import (
	"fmt"
	"os"
	"time"

	"exile/internal/human"
	"exile/internal/replay"
)

// progress is a line on a terminal about what is being read. Entries have times, so the part of the time that has been read stands for the
// part of the log.
type progress struct {
	out     *os.File // nil: nobody wants to see it
	begun   time.Time
	end     time.Time // of the log, or later
	first   time.Time
	entries int
	shown   time.Time
}

// showEvery is how often the line changes.
const showEvery = 200 * time.Millisecond

func newProgress(asked replay.Request, begun time.Time) *progress {
	p := &progress{begun: begun, end: begun, shown: begun}
	if !asked.Until.IsZero() && asked.Until.Before(begun) {
		p.end = asked.Until
	}
	if asked.Progress {
		p.out = os.Stderr
	}
	return p
}

// step notes that an entry of that time was read.
func (p *progress) step(at time.Time) {
	p.entries++
	if p.first.IsZero() {
		p.first = at
	}
	if p.out == nil || p.entries%1024 != 0 {
		return
	}
	if now := time.Now(); now.Sub(p.shown) >= showEvery {
		p.shown = now
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s", p.line(at, now.Sub(p.begun)))
	}
}

// line says how far the log is read after that long.
func (p *progress) line(at time.Time, took time.Duration) string {
	text := fmt.Sprintf("%s, %.0f/s", human.Count(p.entries, "entries"), float64(p.entries)/took.Seconds())
	whole, done := p.end.Sub(p.first), at.Sub(p.first)
	if whole <= 0 || done <= 0 || done > whole {
		return text
	}
	part := float64(done) / float64(whole)
	left := time.Duration(float64(took) * (1 - part) / part)
	return fmt.Sprintf("%s, %.0f %%, %s left", text, 100*part, human.Span(left.Round(time.Second)))
}

// clear removes the line.
func (p *progress) clear() {
	if p.out != nil {
		_, _ = p.out.WriteString("\r\x1b[K")
	}
}
