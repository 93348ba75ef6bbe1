package report

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"exile/internal/replay"
)

// This file writes the report as plain text, for mail readers of 80 columns.

// Subject says in a few words what the report is about.
func (r *Report) Subject() string {
	if r.First.IsZero() {
		return "nothing in the log"
	}
	return fmt.Sprintf("%s, %s, %s", count(r.Attempts, "attempts"), count(r.Bans, "bans"), count(len(r.False), "false alarms"))
}

// Widths of the summary, in characters.
const (
	barWidth     = 24
	maxFew       = 31 // bins and false alarms that are listed
	summaryWidth = 76
)

// Summary is the report without its charts, with times in that zone.
func (r *Report) Summary(zone *time.Location) string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "exile on %s\n%s\n\n", plain(r.Host), r.stretch(zone))
	for _, t := range r.figures() {
		fmt.Fprintf(b, "%-14s%12s\n", t[0], t[1])
	}
	r.summarizeTime(b, zone)
	summarizeMost(b, "Addresses with most attempts", r.Top.Sources, plain)
	summarizeMost(b, "Networks with most attempts", r.Top.Networks, plain)
	summarizeMost(b, "Names with most attempts", r.Top.Names, func(s string) string { return quoted(s, nameInTable) })
	r.summarizeFalse(b, zone)
	if l := &r.Latency; l.Bans > 0 {
		section(b, "How fast bans are")
		b.WriteString(wrapped("", aboutLatency(l)))
	}
	if len(r.Detectors) > 0 {
		section(b, "Detectors on this log: prevented, bans, false alarms")
	}
	for _, d := range r.Detectors {
		fmt.Fprintf(b, "%9s%9s%9s  %s\n", percent(d.Prevented, d.Attempts), number(d.Bans), number(d.False), plain(d.Name))
	}
	if len(r.Troubles) > 0 {
		section(b, "What is missing")
	}
	for _, t := range r.Troubles {
		b.WriteString(wrapped("- ", plain(t)))
	}
	b.WriteString("\n" + wrapped("", r.source(zone)))
	return b.String()
}

func section(b *strings.Builder, title string) {
	b.WriteString("\n" + title + "\n" + strings.Repeat("-", len(title)) + "\n")
}

// summarizeTime lists the bins, if they are few.
func (r *Report) summarizeTime(b *strings.Builder, zone *time.Location) {
	if len(r.Bins) == 0 || len(r.Bins) > maxFew || r.Attempts == 0 && r.Bans == 0 {
		return
	}
	most, longest := uint64(1), 0
	for _, bin := range r.Bins {
		most = max(most, bin.Prevented+bin.Passed)
		longest = max(longest, len(r.Step.long(bin.At.In(zone))))
	}
	section(b, "Attempts and bans by "+string(r.Step))
	for _, bin := range r.Bins {
		n := bin.Prevented + bin.Passed
		bar := strings.Repeat("#", int((float64(n)/float64(most))*barWidth+0.999))
		line := fmt.Sprintf("%-*s%10s%9s  %s", longest, r.Step.long(bin.At.In(zone)), number(n), number(bin.Bans), bar)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func summarizeMost(b *strings.Builder, title string, list []replay.Tally, shown func(string) string) {
	if len(list) == 0 {
		return
	}
	section(b, title)
	for _, t := range list {
		fmt.Fprintf(b, "%10s  %s\n", number(t.Attempts), shown(t.Name))
	}
}

func (r *Report) summarizeFalse(b *strings.Builder, zone *time.Location) {
	if len(r.False) == 0 {
		return
	}
	section(b, "False alarms: banned addresses with a login before or after")
	for _, f := range r.False[:min(len(r.False), maxFew)] {
		text := []string{fmt.Sprintf("%s, banned as %s by jail %s at %s; logins of", f.Login, plain(f.Prefix), plain(f.Jail), f.At.In(zone).Format(time.DateTime))}
		for _, u := range f.Users {
			text = append(text, quoted(u, nameInTable))
		}
		b.WriteString(wrapped("- ", strings.Join(text, " ")))
	}
	if more := len(r.False) - maxFew; more > 0 {
		fmt.Fprintf(b, "- and %s more\n", number(more))
	}
}

// wrapped breaks a text between words, and marks its beginning. Lines after the first are indented.
func wrapped(mark, text string) string {
	var b strings.Builder
	b.WriteString(mark)
	column := utf8.RuneCountInString(mark)
	for i, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case i > 0 && column+1+width > summaryWidth:
			b.WriteString("\n" + strings.Repeat(" ", len(mark)))
			column = len(mark)
		case i > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String() + "\n"
}
