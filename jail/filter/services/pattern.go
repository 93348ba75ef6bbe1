package services

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"exile/jail"
)

// pattern is one pattern, compiled.
type pattern struct {
	matcher
	name       string
	kind       jail.Kind
	role       role
	mode       string
	unknown    bool
	addr, user int    // groups; 0: none
	count      int    // likewise
	conn       int    // likewise
	never      string // characters that the user cannot have
}

// matcher is a regular expression with the texts that all its matches have, in order, and with a list of which they have one. To look for these
// is many times as fast.
type matcher struct {
	re       *regexp.Regexp
	literals [][]byte
	words    *words // nil: there is no list
}

// tag is a word in angle brackets that stands for an expression.
type tag struct {
	expr  string
	group string // the name of the group around it
	safe  bool   // the service itself wrote the text
	kept  bool   // the text is asked for, although it is safe
}

// The forms of time stamps that services write: ISO 8601, nginx and Go, C's asctime, BIND, MariaDB, the common log format, Domino, and monit's
// with the zone in front.
const stamps = `\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d| [A-Z]{2,5})?` +
	`|(?:[A-Z]{3,5} )?(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: \d{4})?` +
	`|\d\d[-/]\d\d[-/]\d{4}[ :]\d\d:\d\d:\d\d(?:\.\d{1,9})?` +
	`|\d\d[-/ ][A-Z][a-z]{2}[-/ ]\d{4}[ :]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: [+-]\d{4})?` +
	`|\d{6} {1,2}\d{1,2}:\d\d:\d\d|\d{9,10}(?:\.\d{1,9})?`

// tags are what a pattern can say besides a regular expression.
var tags = map[string]tag{
	"ADDR":       {expr: `(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,38}(?:\d{1,3}(?:\.\d{1,3}){3})?(?:%[0-9A-Za-z]{1,15})?`, group: "addr"},
	"USER":       {expr: `.*`, group: "user"},
	"TIME":       {expr: stamps, group: "time", safe: true},
	"PORT":       {expr: `\d{1,5}`, group: "port", safe: true},
	"SERVER":     {expr: `[0-9A-Za-z_.:-]+`, group: "server", safe: true},
	"WORDS":      {expr: `[0-9A-Za-z_.:()=/ -]+`, group: "server", safe: true},
	"COUNT":      {expr: `\d{1,3}`, group: "count", safe: true, kept: true},
	"CONNECTION": {expr: `[0-9A-Za-z_-]{1,32}`, group: "connection", safe: true, kept: true},
	"ID":         {expr: `[0-9A-Za-z_-]+`, group: "server", safe: true},
	"JSON":       {expr: `(?:[^"\\]|\\.)*`, group: "json", safe: true},
}

var tagged = regexp.MustCompile(`<([A-Z]+)>`)

// expand replaces the tags of a pattern. For the check every tag is a group with a name; what is compiled has only those that are needed.
func expand(match string, check bool) (string, error) {
	var unknown error
	n := 0
	out := tagged.ReplaceAllStringFunc(match, func(s string) string {
		t, ok := tags[s[1:len(s)-1]]
		switch {
		case !ok:
			unknown = fmt.Errorf("%s is not a tag; these are: <ADDR>, <USER>, <TIME>, <PORT>, <COUNT>, <SERVER>, <WORDS>, <ID>, <JSON>, <CONNECTION>", s)
			return s
		case !t.safe, t.kept && !check:
			return "(?P<" + t.group + ">" + t.expr + ")"
		case check:
			n++ // no two groups may have the same name
			return "(?P<" + t.group + strconv.Itoa(n) + ">" + t.expr + ")"
		}
		return "(?:" + t.expr + ")"
	})
	return out, unknown
}

// newPattern checks and compiles a pattern.
func newPattern(l *patternLine) (pattern, error) {
	p := pattern{name: l.Name, kind: kinds[l.Kind], role: roles[l.Kind], mode: l.Mode, unknown: l.Unknown, never: l.Excludes.User}
	if p.mode == "" {
		p.mode = modes[0]
	}
	if err := l.words(p.mode); err != nil {
		return p, err
	}
	if err := l.safe(); err != nil {
		return p, err
	}
	m, err := newMatcher(l.Match)
	if err != nil {
		return p, err
	}
	p.matcher = m
	p.addr, p.user = max(m.re.SubexpIndex("addr"), 0), max(m.re.SubexpIndex("user"), 0)
	p.count, p.conn = max(m.re.SubexpIndex("count"), 0), max(m.re.SubexpIndex("connection"), 0)
	return p, p.ofConnection()
}

// words checks the words of a pattern.
func (l *patternLine) words(mode string) error {
	switch {
	case !IsName(l.Name):
		return errors.New("name: must be of lower-case letters, digits and dashes")
	case !isKind(l.Kind):
		return fmt.Errorf("kind: %q must be failure, probe, success, connect or close", l.Kind)
	case !IsMode(mode):
		return fmt.Errorf("mode: %q must be one of %s", mode, strings.Join(modes, ", "))
	case (l.Excludes.User == "") != (l.Excludes.Because == ""):
		return errors.New("excludes: must say which characters the user cannot have, and because: of what")
	}
	return nil
}

func isKind(kind string) bool {
	_, ok := kinds[kind]
	return ok
}

// ofConnection reports a pattern that does not name what it must of a connection.
func (p *pattern) ofConnection() error {
	switch {
	case p.role == opens && (p.conn == 0 || p.addr == 0):
		return errors.New("match: a pattern of kind: connect must have <CONNECTION> and <ADDR>")
	case p.role == shuts && p.conn == 0:
		return errors.New("match: a pattern of kind: close must have <CONNECTION>")
	case p.role != opens && p.conn > 0 && p.addr > 0:
		return errors.New("match: only a pattern of kind: connect can have both <CONNECTION> and <ADDR>")
	}
	return nil
}

// The values of framable, of a pattern or of the whole filter: a client can have others banned with it. For a jail somebody must have accepted
// that.
const (
	found    = "found"
	accepted = "accepted"
)

// safe reports why a client could have others banned with a pattern, unless the file says that this is known.
func (l *patternLine) safe() error {
	switch l.Framable {
	case "":
		return check(l.Match, l.Excludes.User)
	case found, accepted:
		return namesOf(l.Match)
	}
	return fmt.Errorf("framable: %q must be accepted, or be left out", l.Framable)
}

// IsMode reports whether that is a mode.
func IsMode(mode string) bool { return slices.Contains(modes, mode) }

// newMatcher compiles an expression with tags.
func newMatcher(match string) (matcher, error) {
	expr, err := expand(match, false)
	if err != nil {
		return matcher{}, err
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return matcher{}, err
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return matcher{}, err
	}
	return matcher{re: re, literals: literals(tree), words: wordsOf(tree)}, nil
}

// literals returns the texts that every match has, in order.
func literals(n *syntax.Regexp) (all [][]byte) {
	switch n.Op {
	case syntax.OpLiteral:
		if n.Flags&syntax.FoldCase == 0 {
			return [][]byte{[]byte(string(n.Rune))}
		}
	case syntax.OpConcat, syntax.OpCapture:
		for _, sub := range n.Sub {
			all = append(all, literals(sub)...)
		}
	default:
	}
	return all
}

// find returns where the groups of the expression are, or nil.
func (m *matcher) find(message []byte) []int {
	if !m.may(message) {
		return nil
	}
	return m.re.FindSubmatchIndex(message)
}

// matches reports whether the expression matches. It does not allocate.
func (m *matcher) matches(message []byte) bool { return m.may(message) && m.re.Match(message) }

// may reports whether a message has the texts that all matches have.
func (m *matcher) may(message []byte) bool {
	rest := message
	for _, l := range m.literals {
		_, behind, ok := bytes.Cut(rest, l)
		if !ok {
			return false
		}
		rest = behind
	}
	return m.words == nil || m.words.in(message)
}
