package main

import (
	"os"
	"strings"
	"unicode/utf8"
)

// This file draws numbers with characters: blocks where the terminal has them, else plain ASCII.

// wantBlocks reports whether the locale and the terminal have the characters of bars, as setlocale(3) and systemd look for them.
func wantBlocks() bool {
	if term := os.Getenv("TERM"); term == "dumb" || term == "linux" { // whose font has few of them
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := os.Getenv(name); locale != "" {
			charset := strings.ToLower(locale)
			return strings.Contains(charset, "utf-8") || strings.Contains(charset, "utf8")
		}
	}
	return false
}

// What numbers are drawn with: the parts of a block from the left, and shades.
var (
	eighths = []rune("▏▎▍▌▋▊▉█")
	shades  = []rune(" ░▒▓█")
	plain   = []rune(" .:-=+*#")
)

// bar is a bar for n of most, which would be so many columns wide. What is not 0 is seen.
func (c *console) bar(n, most uint64, width int) string {
	if n == 0 || most == 0 || width <= 0 {
		return ""
	}
	parts := max(int(float64(min(n, most))/float64(most)*float64(8*width)), 1)
	if !c.blocks {
		return strings.Repeat("#", (parts+7)/8)
	}
	text := strings.Repeat("█", parts/8)
	if rest := parts % 8; rest > 0 {
		text += string(eighths[rest-1])
	}
	return text
}

// shade draws numbers as shades, against the same maximum.
func (c *console) shade(numbers []uint64, most uint64) string {
	if c.blocks {
		return scaled(numbers, most, shades)
	}
	return scaled(numbers, most, plain)
}

func scaled(numbers []uint64, most uint64, ladder []rune) string {
	var b strings.Builder
	top := len(ladder) - 1
	for _, n := range numbers {
		at := 0
		if n > 0 && most > 0 {
			at = min(max(int(float64(n)/float64(most)*float64(top)+0.5), 1), top)
		}
		b.WriteRune(ladder[at])
	}
	return b.String()
}

// graphWidth is how wide graphs are where nothing limits a line.
const graphWidth = 80

// room is how many columns are left of a line beside so many.
func (c *console) room(beside int) int {
	width := c.width
	if width == 0 {
		width = graphWidth
	}
	return max(width-beside, 8)
}

// graph draws a bar for each row, under a heading, with the number behind its name.
type graph struct {
	heading string
	names   []string // cleaned
	numbers []uint64
	texts   []string // of the numbers
}

func (g *graph) print(c *console) {
	widest, longest, most := 0, 0, uint64(0)
	for i, name := range g.names {
		widest, longest, most = max(widest, utf8.RuneCountInString(name)), max(longest, len(g.texts[i])), max(most, g.numbers[i])
	}
	widest = min(widest, c.room(longest+2)/2)
	if c.legend {
		c.line(c.paint(underline, g.heading))
	}
	for i, name := range g.names {
		name = ellipsize(name, widest)
		pad := strings.Repeat(" ", widest-utf8.RuneCountInString(name)+1+longest-len(g.texts[i]))
		bar := c.bar(g.numbers[i], most, c.room(widest+longest+2))
		c.line(strings.TrimRight(name+pad+g.texts[i]+" "+c.paint(red, bar), " "))
	}
}
