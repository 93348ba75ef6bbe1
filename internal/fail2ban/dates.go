package fail2ban

import (
	"errors"
	"regexp"
	"strings"

	"exile/internal/fail2ban/python"
	"exile/jail/filter/services"
)

// This file says what the date patterns of a filter mean here. fail2ban cuts the time out of a line, and its filters match what is left. Those
// of exile match the line as it is, so the time must stand in the pattern.

// stamp is a form of time in a line.
type stamp struct {
	expr   string // what is cut out of the line
	sample string
	inside bool // it is never at the beginning of the line
	none   bool // the line stays as it is
}

// These are the forms that exile knows.
const (
	anyTime = "<TIME>"
	barTime = "Nov 30 12:00:00" // no zone can be a part of it
	logTime = "30/Nov/2026:12:00:00 +0000"
)

// stampsOf reads a datepattern, which may have several lines. The error says which is not read.
func stampsOf(text string) ([]stamp, error) {
	var all []stamp
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		s, err := stampOf(line)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		all = []stamp{{expr: anyTime, sample: barTime}}
	}
	return all, nil
}

var (
	bounds     = regexp.MustCompile(`^(?:\{UNB\}|\*\*)?(?:\{\^LN-BEG\})?(?:\*\*)?|\*\*$`)
	separator  = regexp.MustCompile(`\(\?P<(\w+)>([^()]*)\)`)
	timeField  = regexp.MustCompile(`%(Ex[a-zA-Z]|[a-zA-Z%])`)
	epochField = regexp.MustCompile(`(?i)\{L?EPOCH\}`)
	dateField  = regexp.MustCompile(`(?i)\{DATE\}`)
)

func stampOf(line string) (stamp, error) {
	begin := strings.HasPrefix(line, "{^LN-BEG}") || strings.HasPrefix(line, "^")
	switch word := strings.ToUpper(bounds.ReplaceAllString(strings.TrimPrefix(line, "^"), "")); word {
	case "", "EPOCH", "{DEFAULT}":
		return stamp{expr: anyTime, sample: barTime}, nil
	case "LEPOCH":
		return stamp{expr: epoch, sample: "1796040000000"}, nil
	case "TAI64N":
		return stamp{expr: `@[0-9a-f]{24}`, sample: "@400000006a2b3c4d5e6f7081"}, nil
	case "{NONE}":
		return stamp{none: true}, nil
	}
	line = bounds.ReplaceAllString(line, "")
	// The separator that is the same on both sides may be another on the second here.
	for _, m := range separator.FindAllStringSubmatch(line, -1) {
		line = strings.ReplaceAll(strings.ReplaceAll(line, m[0], m[2]), "(?P="+m[1]+")", m[2])
	}
	if !timeField.MatchString(line) && !epochField.MatchString(line) && !dateField.MatchString(line) {
		return stamp{none: true}, nil // it finds no time, but takes the line
	}
	return custom(line, begin)
}

const epoch = `\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?`

// custom reads a pattern with fields. If a group is in it, fail2ban cuts out only that.
func custom(line string, begin bool) (stamp, error) {
	n, err := python.Parse(fieldsMarked(line))
	if err != nil {
		return stamp{}, err
	}
	cut, before := cutOf(n)
	nodes := python.Replaced(cut, fieldMark, func(i rune) *python.Node { return fields[i].node() })
	if nodes[0].Op == python.Begin {
		nodes = nodes[1:]
	}
	expr, err := python.Print(nodes)
	if err != nil {
		return stamp{}, err
	}
	s := stamp{expr: "(?i:" + expr + ")", sample: sampleOf(nodes, strategy{}), inside: begin && before}
	if expr == anyTime || known().MatchString(s.sample) && !isWide(nodes) {
		s.expr = anyTime
	}
	if s.inside && s.expr != anyTime && !timeField.MatchString(line[:1]) {
		return s, errors.New("it cuts more than the time out of the middle of a line, so that nobody knows where that was")
	}
	return s, nil
}

// isWide reports whether any text may be in there.
func isWide(nodes []*python.Node) bool {
	return count(nodes, func(n *python.Node) bool {
		return n.Op == python.Repeat && n.Max < 0 && n.Sub[0].Op != python.Literal && n.Sub[0].Text != `\s`
	}) > 0
}

// known is what exile's filters take for a time.
func known() *regexp.Regexp {
	re, _, err := services.Compile("^" + anyTime + "$")
	if err != nil {
		panic(err) // the tag is exile's own
	}
	return re
}

// cutOf returns the first group, or else all; and whether something is before it.
func cutOf(n *python.Node) (nodes []*python.Node, before bool) {
	if n.Op != python.Concat {
		return []*python.Node{n}, false
	}
	for i, sub := range n.Sub {
		if sub.Op == python.Group && sub.Capture {
			return sub.Sub, i > 1 || i == 1 && n.Sub[0].Op != python.Begin
		}
	}
	return n.Sub, false
}

// field is a part of a time.
type field struct{ name, expr, sample string }

func (f field) node() *python.Node {
	return &python.Node{Op: python.Given, Text: f.expr, Sample: f.sample}
}

const (
	months = `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)`
	days   = `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)`
	two    = `\d{1,2}`
)

// fields are those of Python's strptime and fail2ban's own, by the mark that stands for them in an expression.
var fields = []field{
	{"%", "%", "%"},
	{"a", days, "Mon"},
	{"A", days + `[a-z]*`, "Monday"},
	{"b", months, "Nov"},
	{"B", months + `[a-z]*`, "November"},
	{"d", ` ?` + two, "30"},
	{"f", `\d{1,6}`, "123"},
	{"H", two, "12"},
	{"I", two, "12"},
	{"j", `\d{1,3}`, "334"},
	{"k", ` ?` + two, "12"},
	{"l", ` ?` + two, "12"},
	{"m", two, "11"},
	{"M", two, "00"},
	{"p", `(?:AM|PM|am|pm)`, "PM"},
	{"S", two, "00"},
	{"y", `\d\d`, "26"},
	{"Y", `\d{4}`, "2026"},
	{"z", `(?:Z|UTC|GMT|[+-]\d\d:?(?:\d\d)?)`, "+0000"},
	{"Z", `(?:Z|UTC|GMT|CET|CEST|[ECMP][SD]T)`, "UTC"},
	{"ExY", `\d{4}`, "2026"},
	{"Exy", `\d\d`, "26"},
	{"Exm", `\d\d`, "11"},
	{"Exd", `\d\d`, "30"},
	{"ExH", `\d\d`, "12"},
	{"ExM", `\d\d`, "00"},
	{"ExS", `\d\d`, "00"},
	{"Exk", ` ?` + two, "12"},
	{"Exl", ` ?` + two, "12"},
	{"Exz", `(?:Z|UTC|GMT|[+-]\d\d:?(?:\d\d)?)`, "+0000"},
	{"ExZ", `(?:Z|UTC|GMT|CET|CEST|[ECMP][SD]T)`, "UTC"},
	{"{EPOCH}", epoch, "1796040000"},
	{"{DATE}", anyTime, barTime},
}

// fieldMark stands for the first field in an expression, and the characters behind it for the others.
const fieldMark = '\uE100'

func fieldsMarked(line string) string {
	mark := func(name string) string {
		for i, f := range fields {
			if f.name == name {
				return string(fieldMark + rune(i))
			}
		}
		return ""
	}
	line = epochField.ReplaceAllString(line, mark("{EPOCH}"))
	line = dateField.ReplaceAllString(line, mark("{DATE}"))
	return timeField.ReplaceAllStringFunc(line, func(s string) string {
		if m := mark(s[1:]); m != "" {
			return m
		}
		return s
	})
}

// timeNode is what stands where fail2ban cuts the time out.
func timeNode(stamps []stamp, inBrackets bool) *python.Node {
	n := &python.Node{Op: python.Given}
	var exprs []string
	for _, s := range stamps {
		if s.none {
			continue
		}
		if n.Sample == "" {
			n.Sample = s.sample
		}
		exprs = append(exprs, s.expr)
	}
	switch exprs = unique(exprs); len(exprs) {
	case 0:
		return nil
	case 1:
		n.Text = exprs[0]
	default:
		n.Text = "(?:" + strings.Join(exprs, "|") + ")"
	}
	if inBrackets && n.Text == anyTime {
		n.Sample = logTime
	}
	if !strings.HasSuffix(n.Text, `\])`) {
		n.Text += `\b` // as fail2ban finds times
	}
	return n
}

func unique(words []string) (out []string) {
	seen := map[string]bool{}
	for _, w := range words {
		if !seen[w] {
			out = append(out, w)
		}
		seen[w] = true
	}
	return out
}
