package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// This file draws charts as SVG. What lies along a chart is in percent of its width and text is in pixels, so a chart is as wide as its place
// and its text stays readable on a phone. A chart has no colour of its own: its classes are in style.css, for light, dark and paper.

// chart is what is common to all: what it says to those who do not see it.
type chart struct {
	id    string // unique on the page, for the references to title and desc
	title string
	about string // what it shows, with the numbers that matter
}

// draw writes the SVG around marks of that height, in pixels.
func (p *page) draw(c chart, height int, marks string) {
	p.write(`<svg role="img" class="chart" width="100%" height="`, strconv.Itoa(height), `" aria-labelledby="`, c.id, `-t `, c.id, `-d">`,
		`<title id="`, c.id, `-t">`, escaped(c.title), `</title><desc id="`, c.id, `-d">`, escaped(c.about), `</desc>`, marks, "</svg>\n")
}

// series is a row of numbers in one colour.
type series struct {
	name  string
	class string // of style.css
	of    []uint64
}

// left is where charts with an axis begin, in percent of the width: on a phone that is 30 pixels.
const left = 9.0

// The places in a chart of columns, in pixels.
const (
	plotTop    = 8
	plotHeight = 150
	tickRoom   = 24
)

// columns draws series upon each other, a column for each label.
func (p *page) columns(c chart, all []series, labels []string) {
	var b strings.Builder
	top := roof(all)
	for _, part := range []uint64{2, 1, 0} {
		if top%2 != 0 && part == 1 {
			continue
		}
		y := plotTop + plotHeight - plotHeight*int(part)/2
		fmt.Fprintf(&b, `<line class="grid" x1="%s%%" x2="100%%" y1="%d" y2="%d"/><text class="tick end" x="%s%%" y="%d">%s</text>`,
			short(left), y, y, short(left-1), y+4, compact(top*part/2))
	}
	wide := (100 - left) / float64(len(labels))
	for i, label := range labels {
		y := float64(plotTop + plotHeight)
		for _, s := range all {
			if s.of[i] == 0 {
				continue
			}
			h := math.Max(float64(s.of[i])/float64(top)*plotHeight, 1)
			y -= h
			fmt.Fprintf(&b, `<rect class="%s" x="%s%%" y="%s" width="%s%%" height="%s"><title>%s: %s %s</title></rect>`, s.class,
				short(left+float64(i)*wide+wide/10), short(y), short(wide*0.8), short(h), escaped(label), number(s.of[i]), s.name)
		}
	}
	b.WriteString(ticks(labels, plotTop+plotHeight+17))
	p.draw(c, plotTop+plotHeight+tickRoom, b.String())
}

// roof is a round number that is not below any column.
func roof(all []series) uint64 {
	var highest uint64
	for i := range all[0].of {
		var sum uint64
		for _, s := range all {
			sum += s.of[i]
		}
		highest = max(highest, sum)
	}
	for unit := uint64(1); ; unit *= 10 {
		for _, n := range []uint64{1, 2, 4, 6, 8, 10} {
			if n*unit >= highest {
				return n * unit
			}
		}
	}
}

// maxTicks is how many labels fit below a chart on a phone.
const maxTicks = 4

// ticks writes some of the labels below their columns.
func ticks(labels []string, y int) string {
	var b strings.Builder
	every := (len(labels) + maxTicks - 1) / maxTicks
	wide := (100 - left) / float64(len(labels))
	for i := 0; i < len(labels); i += every {
		x, class := left+(float64(i)+0.5)*wide, "tick middle"
		if x < left+8 {
			x, class = left, "tick"
		} else if x > 92 {
			x, class = 100, "tick end"
		}
		fmt.Fprintf(&b, `<text class="%s" x="%s%%" y="%d">%s</text>`, class, short(x), y, escaped(labels[i]))
	}
	return b.String()
}

// bar is a line of a chart of bars.
type bar struct {
	label string
	value string // as it is written
	part  float64
	class string
}

// barRoom is the height of a bar and of its label above it, in pixels.
const barRoom = 36

// bars draws bars below each other, each with its label above it. part is of the width.
func (p *page) bars(c chart, all []bar) {
	var b strings.Builder
	for i, one := range all {
		y := i * barRoom
		fmt.Fprintf(&b, `<text class="label" x="0" y="%d">%s</text><text class="value end" x="100%%" y="%d">%s</text>`,
			y+14, escaped(one.label), y+14, escaped(one.value))
		fmt.Fprintf(&b, `<rect class="rail" x="0" y="%d" width="100%%" height="8" rx="2"/><rect class="%s" x="0" y="%d" width="%s%%" height="8" rx="2"/>`,
			y+20, one.class, y+20, short(100*min(max(one.part, 0), 1)))
	}
	p.draw(c, len(all)*barRoom, b.String())
}

// days in the order of a heat map.
var weekdays = [...]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// shades is how many steps a heat map has above none.
const shades = 6

// heat draws the hours of a week. hours begin with Sunday.
func (p *page) heat(c chart, hours *[7][24]uint64) {
	const room = 22 // the height of a day, in pixels
	var most uint64
	for _, day := range hours {
		for _, n := range day {
			most = max(most, n)
		}
	}
	var b strings.Builder
	wide := (100 - left) / 24
	for row, name := range weekdays {
		fmt.Fprintf(&b, `<text class="tick" x="0" y="%d">%s</text>`, row*room+15, name)
		for hour, n := range hours[(row+1)%7] {
			fmt.Fprintf(&b, `<rect class="heat h%d" x="%s%%" y="%d" width="%s%%" height="%d"><title>%s %02d:00: %s</title></rect>`, shade(n, most),
				short(left+float64(hour)*wide), row*room, short(wide*0.92), room-2, name, hour, number(n))
		}
	}
	for hour := 0; hour < 24; hour += 6 {
		fmt.Fprintf(&b, `<text class="tick" x="%s%%" y="%d">%02d:00</text>`, short(left+float64(hour)*wide), 7*room+14, hour)
	}
	p.draw(c, 7*room+20, b.String())
}

// shade is 0 for none and only for that: nights with little must not look like nights with nothing.
func shade(n, most uint64) int {
	if n == 0 {
		return 0
	}
	return int(math.Ceil(float64(n) / float64(most) * shades))
}

// short writes a place with as few digits as are seen.
func short(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".")
}
