package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"exile/internal/replay"
)

// This file puts the page together.

//go:embed style.css
var style string

// policy lets the page load nothing, run nothing and send nothing: even if a name became markup, nothing would come of it.
const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

// page is a page being written. bufio keeps a write error until the end.
type page struct {
	*bufio.Writer
	zone *time.Location
}

func (p *page) write(parts ...string) {
	for _, s := range parts {
		_, _ = p.WriteString(s)
	}
}

// HTML writes the report as a file, with times in that zone.
func (r *Report) HTML(out io.Writer, zone *time.Location) error {
	p := &page{bufio.NewWriter(out), zone}
	title := "exile on " + plain(r.Host)
	p.write(`<!DOCTYPE html>`, "\n", `<html lang="en"><head><meta charset="utf-8">`, "\n",
		`<meta http-equiv="Content-Security-Policy" content="`, policy, `">`, "\n",
		`<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">`,
		`<meta name="referrer" content="no-referrer">`, "\n<title>", escaped(title), "</title>\n<style>\n", style, "</style></head>\n<body>\n")
	p.write("<header><h1>", bdi(title), `</h1><p class="soft">`, escaped(r.stretch(zone)), "</p></header>\n<main>\n")
	p.tiles(r)
	if r.Attempts > 0 || r.Bans > 0 {
		p.overTime(r)
		p.week(r)
		p.who(&r.Top)
	}
	p.falseAlarms(r.False)
	p.latency(&r.Latency)
	p.detectors(r.Detectors)
	p.troubles(r.Troubles)
	p.write("</main>\n<footer><p>", escaped(r.source(zone)), "</p></footer>\n</body></html>\n")
	return p.Flush()
}

// bdi keeps the direction of a text from changing that of what is around it.
func bdi(s string) string { return "<bdi>" + escaped(s) + "</bdi>" }

// source says what the report is made of.
func (r *Report) source(zone *time.Location) string {
	jails := make([]string, len(r.Jails))
	for i, name := range r.Jails {
		jails[i] = plain(name)
	}
	return fmt.Sprintf("Made by exile %s at %s from %s of the log, with the jails %s as they are configured now. What a ban stopped in the kernel "+
		"left no line in the log: it is counted here only where the log is of a host that did not ban.", plain(r.Version), moment(r.Made.In(zone)),
		count(r.Entries, "entries"), strings.Join(jails, ", "))
}

// heading begins a section. p.write("</section>\n") ends it.
func (p *page) heading(level int, id, text string) {
	n := strconv.Itoa(level)
	p.write(`<section aria-labelledby="`, id, `"><h`, n, ` id="`, id, `">`, text, "</h", n, ">\n")
}

// tiles shows the numbers that matter most.
func (p *page) tiles(r *Report) {
	p.write(`<dl class="tiles">`)
	for _, t := range r.figures() {
		p.write("<div><dt>", t[0], "</dt><dd>", t[1], "</dd></div>")
	}
	p.write("</dl>\n")
}

// figures are these numbers, each with its name.
func (r *Report) figures() [][2]string {
	return [][2]string{
		{"Attempts", number(r.Attempts)},
		{"Prevented", percent(r.Prevented, r.Attempts)},
		{"Addresses", number(r.Sources)},
		{"Bans", number(r.Bans)},
		{"Logins", number(r.Logins)},
		{"False alarms", number(len(r.False))},
	}
}

// overTime shows attempts and bans as they came.
func (p *page) overTime(r *Report) {
	labels := make([]string, len(r.Bins))
	prevented, passed := make([]uint64, len(r.Bins)), make([]uint64, len(r.Bins))
	bans, rows := make([]uint64, len(r.Bins)), make([][]string, len(r.Bins))
	for i, b := range r.Bins {
		at := b.At.In(p.zone)
		labels[i], prevented[i], passed[i], bans[i] = r.Step.label(at), b.Prevented, b.Passed, b.Bans
		rows[i] = []string{r.Step.long(at), number(b.Prevented), number(b.Passed), number(b.Bans)}
	}
	p.heading(2, "attempts", "Attempts, prevented and let through")
	p.write(`<p class="soft">`, escaped(fmt.Sprintf("Bans prevented %s of %s (%s).", number(r.Prevented), count(r.Attempts, "attempts"),
		percent(r.Prevented, r.Attempts))), "</p>\n")
	if len(r.Bins) > 0 {
		p.write(`<ul class="key"><li>`, swatch("passed"), `let through</li><li>`, swatch("prevented"), "prevented</li></ul>\n")
		p.columns(chart{"c1", "Attempts by " + string(r.Step), fmt.Sprintf("%s prevented and %s let through, in %s.", number(r.Prevented),
			number(r.Passed), count(len(r.Bins), string(r.Step)+"s"))},
			[]series{{"let through", "passed", passed}, {"prevented", "prevented", prevented}}, labels)
		p.heading(3, "bans", "Bans")
		p.columns(chart{"c2", "Bans by " + string(r.Step), fmt.Sprintf("%s in %s.", count(r.Bans, "bans"), count(len(r.Bins), string(r.Step)+"s"))},
			[]series{{"bans", "bans", bans}}, labels)
		p.write("</section>\n")
		p.table(table{"Attempts and bans by " + string(r.Step), []string{"Time", "Prevented", "Let through", "Bans"}, rows, 0, ""})
	}
	p.write("</section>\n")
}

func swatch(class string) string {
	return `<svg aria-hidden="true"><rect class="` + class + `" width="100%" height="100%" rx="2"/></svg>`
}

// week shows at which hours of the week attempts come.
func (p *page) week(r *Report) {
	busiest, at := uint64(0), ""
	rows := make([][]string, len(weekdays))
	head := []string{"Day"}
	for row, name := range weekdays {
		rows[row] = []string{name}
		for hour, n := range r.Hours[(row+1)%7] {
			rows[row] = append(rows[row], number(n))
			if n > busiest {
				busiest, at = n, fmt.Sprintf("%s %02d:00", name, hour)
			}
		}
	}
	for hour := range 24 {
		head = append(head, fmt.Sprintf("%02d", hour))
	}
	if busiest == 0 {
		return
	}
	about := fmt.Sprintf("Most attempts, %s, came in the hour from %s.", number(busiest), at)
	p.heading(2, "week", "Hours of the week")
	p.write(`<p class="soft">`, about, " The stronger the colour of an hour, the more attempts were in it.</p>\n")
	p.heat(chart{"c3", "Attempts by day of the week and hour", about}, &r.Hours)
	p.table(table{"Attempts by day of the week and hour", head, rows, 0, "hours"})
	p.write("</section>\n")
}

// who shows who attacked most.
func (p *page) who(top *replay.Top) {
	p.heading(2, "who", "Who attacked most")
	p.write(`<div class="columns">`, "\n")
	p.most("sources", "Addresses", "Address", top.Sources, false)
	p.most("networks", "Networks", "Network", top.Networks, false)
	p.most("names", "Names", "Name", top.Names, true)
	p.write("</div>\n")
	if top.More {
		p.write("<p class=\"soft\">There were too many addresses or names to count each.</p>\n")
	}
	p.write("</section>\n")
}

// What fits of a name into a line of a chart on a phone, and into a table.
const (
	nameInChart = 24
	nameInTable = 64
)

// most shows the first of a kind.
func (p *page) most(id, title, one string, list []replay.Tally, isName bool) {
	if len(list) == 0 {
		return
	}
	var all []bar
	var rows [][]string
	for _, t := range list {
		short, long := plain(t.Name), plain(t.Name)
		if isName {
			short, long = quoted(t.Name, nameInChart), quoted(t.Name, nameInTable)
		}
		all = append(all, bar{short, number(t.Attempts), float64(t.Attempts) / float64(max(list[0].Attempts, 1)), "passed"})
		rows = append(rows, []string{long, number(t.Attempts)})
	}
	p.heading(3, id, title)
	p.bars(chart{"c-" + id, title + " by attempts", fmt.Sprintf("The first is %s with %s.", all[0].label, count(list[0].Attempts, "attempts"))}, all)
	p.table(table{title + " by attempts", []string{one, "Attempts"}, rows, 0, ""})
	p.write("</section>\n")
}

// maxFalse is how many false alarms are listed.
const maxFalse = 500

// falseAlarms lists who was banned although somebody logged in from there.
func (p *page) falseAlarms(list []replay.False) {
	p.heading(2, "false", "False alarms")
	if len(list) == 0 {
		p.write(`<p class="soft">Nobody logged in from a banned address, before or after.</p>`, "\n</section>\n")
		return
	}
	p.write(`<p class="soft">`, count(len(list), "banned addresses"), " with a successful login before or after the ban. ",
		"Not each is one: an attacker who guessed a password also logs in.</p>\n")
	var rows [][]string
	for _, f := range list[:min(len(list), maxFalse)] {
		names := make([]string, len(f.Users))
		for i, u := range f.Users {
			names[i] = quoted(u, nameInTable)
		}
		rows = append(rows, []string{f.Login.String(), plain(f.Prefix), plain(f.Jail), f.At.In(p.zone).Format(time.DateTime), strings.Join(names, " ")})
	}
	p.shown(table{"Banned addresses with a login", []string{"Login from", "Banned", "Jail", "Since", "Users"}, rows, -1, ""})
	if more := len(list) - len(rows); more > 0 {
		p.write(`<p class="soft">`, number(more), " more are not listed.</p>\n")
	}
	p.write("</section>\n")
}

// latency shows how fast bans were.
func (p *page) latency(l *replay.Latency) {
	p.heading(2, "latency", "How fast bans are")
	if l.Bans == 0 {
		p.write(`<p class="soft">Nothing to measure: there is no ban by exiled itself in the journal of this host, or in the one that --directory names.</p>`, "\n</section>\n")
		return
	}
	about := aboutLatency(l)
	p.write(`<p class="soft">From the log entry that decided a ban until the kernel had it, as exiled wrote into the journal. `, about, "</p>\n")
	limits := replay.LatencyLimits()
	labels, of := make([]string, len(l.Counts)), make([]uint64, len(l.Counts))
	rows := make([][]string, len(l.Counts))
	for i, n := range l.Counts {
		labels[i] = "longer"
		if i < len(limits) {
			labels[i] = "< " + span(limits[i])
		}
		of[i] = uint64(n)
		rows[i] = []string{labels[i], number(n)}
	}
	p.columns(chart{"c4", "Bans by the time they took", about}, []series{{"bans", "bans", of}}, labels)
	p.table(table{"Bans by the time they took", []string{"Time", "Bans"}, rows, 0, ""})
	p.write("</section>\n")
}

// aboutLatency says how fast bans are in a sentence.
func aboutLatency(l *replay.Latency) string {
	return fmt.Sprintf("Half of %s took no longer than %s, 95 of 100 no longer than %s, and the slowest %s.", count(l.Bans, "bans"),
		micros(l.Median), micros(l.Most), micros(l.Longest))
}

// span is a limit of a latency, which is a round number.
func span(us int64) string {
	if us < 1e6 {
		return strconv.FormatInt(us/1e3, 10) + " ms"
	}
	return strconv.FormatInt(us/1e6, 10) + " s"
}

// detectors compares ways of deciding.
func (p *page) detectors(list []replay.Detector) {
	if len(list) == 0 {
		return
	}
	p.heading(2, "detectors", "Detectors on this log")
	p.write(`<p class="soft">What part of the attempts the bans of each would have prevented, and whom they would have banned wrongly.</p>`, "\n")
	var all []bar
	var rows [][]string
	for _, d := range list {
		part := 0.0
		if d.Attempts > 0 {
			part = float64(d.Prevented) / float64(d.Attempts)
		}
		name := plain(d.Name)
		all = append(all, bar{name, percent(d.Prevented, d.Attempts), part, "prevented"})
		rows = append(rows, []string{name, percent(d.Prevented, d.Attempts), number(d.Bans), number(d.False)})
	}
	p.bars(chart{"c5", "Prevented attempts by detector", all[0].label + ": " + all[0].value + " of the attempts."}, all)
	p.shown(table{"The same log with each detector", []string{"Detector", "Prevented", "Bans", "False alarms"}, rows, 0, ""})
	p.write("</section>\n")
}

// troubles lists what could not be read.
func (p *page) troubles(list []string) {
	if len(list) == 0 {
		return
	}
	p.heading(2, "troubles", "What is missing")
	p.write("<ul>")
	for _, t := range list {
		p.write("<li>", bdi(plain(t)), "</li>")
	}
	p.write("</ul>\n</section>\n")
}

// table is what a chart shows, in numbers.
type table struct {
	caption string
	head    []string
	rows    [][]string // the first cell is the row's heading
	text    int        // the last column that is no number; -1: none is
	class   string
}

// table writes one that is closed at first: the chart above it shows the same.
func (p *page) table(t table) {
	p.write("<details><summary>The numbers</summary>\n")
	p.shown(t)
	p.write("</details>\n")
}

// shown writes a table.
func (p *page) shown(t table) {
	p.write(`<div class="scroll" tabindex="0" role="group" aria-label="`, escaped(t.caption), `"><table class="`, t.class, `"><caption>`, escaped(t.caption),
		"</caption>\n<thead><tr>")
	class := func(i int) string {
		if t.text >= 0 && i > t.text {
			return ` class="n"`
		}
		return ""
	}
	for i, h := range t.head {
		p.write(`<th scope="col"`, class(i), ">", escaped(h), "</th>")
	}
	p.write("</tr></thead>\n<tbody>\n")
	for _, row := range t.rows {
		p.write(`<tr><th scope="row">`, bdi(row[0]), "</th>")
		for i, cell := range row[1:] {
			p.write("<td", class(i+1), ">", bdi(cell), "</td>")
		}
		p.write("</tr>\n")
	}
	p.write("</tbody></table></div>\n")
}
