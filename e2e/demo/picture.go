package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The dimensions of a picture, in pixels, and its colours.
const (
	charWidth, lineHeight, margin = 8.43, 20, 16 // of common monospaced fonts at 14 px

	paper, ink = "#161b22", "#d0d7de"
)

// styles are the colours of the story, as CSS.
var styles = map[string]string{
	plain: "white-space:pre", bold: "white-space:pre;font-weight:bold;fill:#fff", dim: "white-space:pre;fill:#8b949e", red: "white-space:pre;fill:#ff7b72", green: "white-space:pre;fill:#7ee787", alarm: "white-space:pre;font-weight:bold;fill:#fff",
}

// picture draws the contents of a terminal as an SVG.
func picture(text string) []byte {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	columns := 0
	for i, line := range lines {
		lines[i] = cut(line)
		columns = max(columns, utf8.RuneCountInString(sgr.ReplaceAllString(lines[i], "")))
	}
	var b bytes.Buffer
	width, height := int(float64(columns)*charWidth)+2*margin, len(lines)*lineHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", paper)
	fmt.Fprintf(&b, `<g font-family="ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="14" fill="%s" xml:space="preserve">`+"\n", ink)
	for i, line := range lines {
		drawLine(&b, line, margin+i*lineHeight)
	}
	b.WriteString("</g>\n</svg>\n")
	return b.Bytes()
}

// maxColumns is the width of the terminal: wider text cannot be read on a page.
const maxColumns = 118

// cut cuts a line of one colour like exilectl at the edge of a terminal.
func cut(line string) string {
	if utf8.RuneCountInString(sgr.ReplaceAllString(line, "")) <= maxColumns {
		return line
	}
	return string([]rune(line)[:maxColumns-1]) + "…"
}

// drawLine draws each run of one colour at its own column, whatever the width of the font.
func drawLine(b *bytes.Buffer, line string, top int) {
	column, colour := 0, plain
	for line != "" {
		run, rest, next := line, "", plain
		if at := sgr.FindStringSubmatchIndex(line); at != nil {
			run, rest, next = line[:at[0]], line[at[1]:], line[at[2]:at[3]]
		}
		n := utf8.RuneCountInString(run)
		x, width := margin+float64(column)*charWidth, float64(n)*charWidth
		if colour == alarm {
			fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#da3633"/>`+"\n", x, top, width, lineHeight)
		}
		if strings.TrimSpace(run) != "" {
			fmt.Fprintf(b, `<text x="%.1f" y="%d" textLength="%.1f" style="%s">%s</text>`+"\n", x, top+lineHeight-5, width, styles[colour], escaped(run))
		}
		line, colour, column = rest, next, column+n
	}
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer never fails
	return b.String()
}
