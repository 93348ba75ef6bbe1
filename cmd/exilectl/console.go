package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/charmbracelet/x/term"
)

// console is the output of a verb. What it prints may hold text chosen by an attacker (user names, reasons), so everything
// except our own constants passes through clean.
type console struct {
	*bufio.Writer
	color  bool
	blocks bool // bars may be drawn with block characters
	width  int  // columns; 0: unlimited
	legend bool // headings and footers
	json   string
	now    time.Time
}

// Colours by meaning, as systemd uses them.
const (
	green     = "\x1b[0;1;32m"
	yellow    = "\x1b[0;1;38;5;185m"
	red       = "\x1b[0;1;31m"
	grey      = "\x1b[0;38;5;245m"
	underline = "\x1b[0;4m"
	normal    = "\x1b[0m"
)

// paint colours s if the output has colours. It does not clean s: columns are aligned before they are coloured.
func (c *console) paint(color, s string) string {
	if !c.color || color == "" || s == "" {
		return s
	}
	return color + s + normal
}

// line prints strings and a line break. bufio keeps a write error until the end.
func (c *console) line(parts ...string) {
	for _, p := range parts {
		_, _ = c.WriteString(p)
	}
	_ = c.WriteByte('\n')
}

// wantJSON reports whether the output is JSON.
func (c *console) wantJSON() bool { return c.json != jsonOff }

// document prints a value as JSON.
func (c *console) document(v any) error {
	enc := json.NewEncoder(harmless{c})
	enc.SetEscapeHTML(false)
	if c.json == jsonPretty {
		enc.SetIndent("", "\t")
	}
	return enc.Encode(v)
}

// harmless writes JSON whose strings cannot affect a terminal: encoding/json does not escape the control characters above
// 0x7f, which some terminals obey, or characters that reverse text. It must be given whole characters.
type harmless struct{ to io.Writer }

// Write implements io.Writer.
func (h harmless) Write(text []byte) (int, error) {
	safe := text
	if bytes.ContainsFunc(text, hostileInJSON) {
		safe = nil
		for _, r := range string(text) {
			if !hostileInJSON(r) {
				safe = utf8.AppendRune(safe, r)
				continue
			}
			for _, unit := range utf16.Encode([]rune{r}) {
				safe = fmt.Appendf(safe, `\u%04x`, unit)
			}
		}
	}
	if _, err := h.to.Write(safe); err != nil {
		return 0, err
	}
	return len(text), nil
}

// hostileInJSON reports whether a character of JSON must be escaped. Such a character is always inside a string.
func hostileInJSON(r rune) bool { return r >= 0x7f && hostile(r) }

// clean makes text harmless for a terminal: unprintable characters become \x1b, \n, \u202e and so on.
func clean(s string) string {
	if !strings.ContainsFunc(s, hostile) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar:
			q := strconv.Quote(s[i:min(i+1, len(s))])
			b.WriteString(q[1 : len(q)-1])
		case hostile(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hostile(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }

// quoteLines cleans a text of several lines, which may be indented with tabs.
func quoteLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		text := strings.TrimLeft(l, "\t")
		lines[i] = l[:len(l)-len(text)] + clean(text)
	}
	return strings.Join(lines, "\n")
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool { return term.IsTerminal(f.Fd()) }

// wantColor obeys $SYSTEMD_COLORS, then $NO_COLOR, then the capabilities of the terminal.
func wantColor(terminal bool) bool {
	switch os.Getenv("SYSTEMD_COLORS") {
	case "":
	case "0", "no", "false", "off":
		return false
	default:
		return true
	}
	return os.Getenv("NO_COLOR") == "" && terminal && os.Getenv("TERM") != "dumb"
}

// columns is the width of the terminal. $COLUMNS wins, as in systemd.
func columns(f *os.File) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if w, _, err := term.GetSize(f.Fd()); err == nil && w > 0 {
		return w
	}
	return 80
}

// newConsole prints to w, which is the standard output or leads to it.
func (o *options) newConsole(w io.Writer) *console {
	terminal := isTerminal(os.Stdout)
	c := &console{
		Writer: bufio.NewWriterSize(w, 64<<10),
		color:  wantColor(terminal), blocks: wantBlocks(), legend: bool(o.legend) && !o.noLegend, json: o.jsonMode(terminal), now: time.Now(),
	}
	if terminal && !o.full {
		c.width = columns(os.Stdout)
	}
	return c
}

// printArray prints n values as one JSON array, each as soon as it is made.
func printArray(c *console, n int, value func(i int) any) error {
	_ = c.WriteByte('[')
	for i := range n {
		if i > 0 {
			_ = c.WriteByte(',')
		}
		text, err := c.marshal(value(i))
		if err != nil {
			return err
		}
		_, _ = harmless{c}.Write(text)
	}
	if c.json == jsonPretty && n > 0 {
		_ = c.WriteByte('\n')
	}
	c.line("]")
	return nil
}

func (c *console) marshal(v any) ([]byte, error) {
	if c.json != jsonPretty {
		return json.Marshal(v)
	}
	text, err := json.MarshalIndent(v, "\t", "\t")
	return append([]byte("\n\t"), text...), err
}
