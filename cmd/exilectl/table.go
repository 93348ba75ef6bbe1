package main

import (
	"strings"
	"unicode/utf8"

	"exile/internal/human"
)

// column is the heading of a column. Numbers are right-aligned.
type column struct {
	name   string
	number bool
}

// table prints rows under headings, with columns one space apart; the last one is cut off at the edge of the terminal.
type table struct {
	columns []column
	rows    int
	// row returns the cells of row i. It is called twice per row, so that a long list is not held as text.
	row func(i int) []cell
	// noun names what is counted below the table: "bans".
	noun string
}

// cell is a text and its colour.
type cell struct{ text, color string }

func text(s string) cell { return cell{text: s} }

// orDash shows a missing value as systemd does.
func orDash(s string) cell {
	if s == "" {
		return cell{"-", grey}
	}
	return text(s)
}

func (t *table) print(c *console) {
	widths := t.widths(c.legend)
	if c.legend {
		c.line(t.heading(c, widths))
	}
	for i := range t.rows {
		c.line(t.format(c, t.row(i), widths))
	}
	if c.legend && t.noun != "" {
		c.line("")
		c.line(human.Count(t.rows, t.noun), " listed.")
	}
}

func (t *table) widths(legend bool) []int {
	w := make([]int, len(t.columns))
	if legend {
		for k, col := range t.columns {
			w[k] = len(col.name)
		}
	}
	for i := range t.rows {
		for k, cell := range t.row(i) {
			w[k] = max(w[k], utf8.RuneCountInString(clean(cell.text)))
		}
	}
	return w
}

func (t *table) heading(c *console, widths []int) string {
	cells := make([]cell, len(t.columns))
	for k, col := range t.columns {
		cells[k] = cell{col.name, underline}
	}
	return t.format(c, cells, widths)
}

// format aligns and shortens the cells before colouring them.
func (t *table) format(c *console, cells []cell, widths []int) string {
	var b strings.Builder
	room := c.width
	for k, cell := range cells {
		s := clean(cell.text)
		pad := widths[k] - utf8.RuneCountInString(s)
		if t.columns[k].number {
			s = strings.Repeat(" ", pad) + s
		} else if k < len(cells)-1 {
			s += strings.Repeat(" ", pad)
		}
		if k > 0 {
			b.WriteByte(' ')
			room--
		}
		if c.width > 0 {
			s = ellipsize(s, max(room, 0))
			room -= utf8.RuneCountInString(s)
		}
		b.WriteString(c.paint(cell.color, s))
	}
	return strings.TrimRight(b.String(), " ")
}

// ellipsize cuts s to n characters.
func ellipsize(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n == 0 {
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}
