package report

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"exile/internal/human"
)

// This file writes values as people read them. Names are what attackers typed.

// quoted is a name in quotation marks and at most most characters of it, with … after them if there are more. What is not printable in it,
// reverses text or piles up on a character is escaped.
func quoted(name string, most int) string {
	var b strings.Builder
	b.WriteByte('"')
	marked, length := false, 0
	for rest := name; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		mark := unicode.Is(unicode.M, r)
		word := strconv.Quote(rest[:size])
		if mark && marked {
			word = strconv.QuoteToASCII(rest[:size])
		}
		word = word[1 : len(word)-1]
		if length += utf8.RuneCountInString(word); length > most {
			return b.String() + `"…`
		}
		b.WriteString(word)
		marked, rest = mark, rest[size:]
	}
	return b.String() + `"`
}

// plain is a text of exile's own, or of the administrator, without what could harm.
func plain(s string) string {
	q := quoted(s, 1<<10)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(q, "…"), `"`), `"`))
}

func escaped(s string) string { return html.EscapeString(s) }

// number groups digits by three.
func number[N int | uint64 | int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// compact is a round number in as few characters as fit beside an axis.
func compact(n uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= u.size {
			return strings.TrimSuffix(strconv.FormatFloat(float64(n)/float64(u.size), 'f', 1, 64), ".0") + u.name
		}
	}
	return strconv.FormatUint(n, 10)
}

// percent is a part of a whole.
func percent(n, whole uint64) string {
	if whole == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*float64(n)/float64(whole), 'f', 1, 64) + " %"
}

// count is a number with its noun, which is given in the plural.
func count[N int | uint64](n N, nouns string) string {
	_, noun, _ := strings.Cut(human.Count(n, nouns), " ")
	return number(n) + " " + noun
}

// micros is a time in µs.
func micros(us int64) string {
	switch d := time.Duration(us) * time.Microsecond; {
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(us)/1e3, 'f', 1, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	default:
		return human.Span(d)
	}
}

// label names a bin.
func (s Step) label(t time.Time) string {
	switch s {
	case Hour:
		return t.Format("Mon 15:04")
	case Month:
		return t.Format("Jan 2006")
	}
	return t.Format("2 Jan")
}

// long names a bin in a table.
func (s Step) long(t time.Time) string {
	switch s {
	case Hour:
		return t.Format("Mon 2006-01-02 15:04")
	case Month:
		return t.Format("January 2006")
	case Week:
		return "week from " + t.Format(time.DateOnly)
	}
	return t.Format("Mon 2006-01-02")
}

func moment(t time.Time) string { return t.Format("2006-01-02 15:04 MST") }

// stretch says of which time a report is.
func (r *Report) stretch(zone *time.Location) string {
	if r.First.IsZero() {
		return "The log has no entry in this time."
	}
	return fmt.Sprintf("%s to %s", moment(r.First.In(zone)), moment(r.Last.In(zone)))
}
