package python

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The limits of an expression.
const (
	maxDepth = 100
	maxNodes = 20000
	maxCount = 1000 // of repetitions: Go's own
)

// Problem is why an expression has no counterpart, and what to write instead.
type Problem struct{ Reason, Advice string }

// Error implements error.
func (p *Problem) Error() string { return p.Reason }

func refuse(reason, advice string) error { return &Problem{reason, advice} }

// parser is the state of reading.
type parser struct {
	text    string // what is left
	fold    bool
	verbose bool
	dotAll  bool
	depth   int
	nodes   int
	names   map[string]bool // of groups
}

// Parse reads an expression. Errors are of the type [Problem].
func Parse(text string) (*Node, error) {
	p := &parser{text: text, names: map[string]bool{}}
	n, err := p.alternate("")
	switch {
	case err != nil:
		return nil, err
	case p.text != "":
		return nil, refuse("it has a closing parenthesis too many", "")
	}
	return n, nil
}

// alternate reads up to the parenthesis or the tag that closes the group.
func (p *parser) alternate(until string) (*Node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, refuse("its groups are in each other too deeply", "")
	}
	defer func() { p.depth-- }()
	var branches []*Node
	for {
		n, err := p.concat(until)
		if err != nil {
			return nil, err
		}
		branches = append(branches, n)
		if !p.cut("|") {
			break
		}
	}
	if len(branches) == 1 {
		return branches[0], nil
	}
	return &Node{Op: Alternate, Sub: branches}, nil
}

func (p *parser) cut(prefix string) bool {
	rest, ok := strings.CutPrefix(p.text, prefix)
	if ok {
		p.text = rest
	}
	return ok
}

func (p *parser) concat(until string) (*Node, error) {
	all := &Node{Op: Concat}
	for p.skip(); p.text != "" && p.text[0] != '|' && p.text[0] != ')' && (until == "" || !strings.HasPrefix(p.text, until)); p.skip() {
		if p.nodes++; p.nodes > maxNodes {
			return nil, refuse("it is too long", "")
		}
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue
		}
		if n, err = p.repeated(n); err != nil {
			return nil, err
		}
		all.Sub = append(all.Sub, n)
	}
	return all, nil
}

// skip passes over what is not read in verbose expressions.
func (p *parser) skip() {
	for p.verbose {
		rest := strings.TrimLeft(p.text, " \t\n\r\f\v")
		if strings.HasPrefix(rest, "#") {
			_, rest, _ = strings.Cut(rest, "\n")
		}
		if rest == p.text {
			return
		}
		p.text = rest
	}
}

var counts = regexp.MustCompile(`^\{(\d*)(,?)(\d*)\}`)

// count reads how often the last node may occur.
func (p *parser) count() (least, most int, ok bool, err error) {
	switch {
	case p.cut("*"):
		return 0, -1, true, nil
	case p.cut("+"):
		return 1, -1, true, nil
	case p.cut("?"):
		return 0, 1, true, nil
	}
	m := counts.FindStringSubmatch(p.text)
	if m == nil || m[1]+m[2]+m[3] == "" {
		return 0, 0, false, nil
	}
	p.text = p.text[len(m[0]):]
	least, _ = strconv.Atoi("0" + m[1])
	most = least
	if m[2] != "" {
		if most = -1; m[3] != "" {
			most, _ = strconv.Atoi(m[3])
		}
	}
	if least > maxCount || most > maxCount || len(m[1]) > 4 || len(m[3]) > 4 {
		err = refuse(fmt.Sprintf("it repeats a part more than %d times", maxCount), "write + or *")
	}
	return least, most, true, err
}

// repeated reads the count behind a node.
func (p *parser) repeated(n *Node) (*Node, error) {
	p.skip()
	least, most, ok, err := p.count()
	if err != nil || !ok {
		return n, err
	}
	r := &Node{Op: Repeat, Min: least, Max: most, Sub: []*Node{n}}
	switch {
	case n.Op == Begin || n.Op == Look:
		return nil, refuse("it repeats a part that has no text", "")
	case p.cut("?"):
		r.Lazy = true
	case p.cut("+"):
		return nil, refuse("a possessive quantifier, such as x++, has no counterpart", "leave out its second +")
	}
	if _, _, more, _ := p.count(); more {
		return nil, refuse("it repeats what is repeated, which Python does not compile", "")
	}
	return r, nil
}

// atom reads one part. It returns nil for a part that says nothing.
func (p *parser) atom() (*Node, error) {
	r, size := utf8.DecodeRuneInString(p.text)
	switch r {
	case '<':
		if n, ok, err := p.tag(); ok || err != nil {
			return n, err
		}
	case '(':
		return p.group()
	case '[':
		return p.class()
	case '\\':
		return p.escape()
	case '*', '+', '?':
		return nil, refuse("it repeats nothing, which Python does not compile", "")
	}
	p.text = p.text[size:]
	switch r {
	case '.':
		if p.dotAll {
			return &Node{Op: Class, Text: `[\x00-\x{10FFFF}]`}, nil
		}
		return &Node{Op: Any}, nil
	case '^':
		return &Node{Op: Begin}, nil
	case '$':
		return &Node{Op: End}, nil
	case PrefixMark:
		return &Node{Op: Prefix}, nil
	case '\n':
		return nil, manyLines()
	}
	return p.literal(r), nil
}

func manyLines() error {
	return refuse("it is for several lines at once, and filters here read line by line", "match the one line that has the address")
}

func (p *parser) literal(r rune) *Node { return &Node{Op: Literal, Text: string(r), Fold: p.fold} }

// escape reads what a backslash begins, outside of a class.
func (p *parser) escape() (*Node, error) {
	if len(p.text) < 2 {
		return nil, refuse("it ends with a backslash", "")
	}
	switch c := p.text[1]; c {
	case 'A', 'b', 'B', 'd', 'D', 's', 'S', 'w', 'W':
		p.text = p.text[2:]
		if text := words[c]; text != "" {
			return &Node{Op: Class, Text: text}, nil
		}
		return &Node{Op: map[byte]Op{'A': Begin, 'b': Edge, 'B': NoEdge}[c]}, nil
	case 'Z':
		return nil, refuse(`it has a \Z, which matches no line in fail2ban: each ends with a line feed`, "write $")
	case 'n':
		return nil, manyLines()
	}
	if m := backReference.FindString(p.text); m != "" {
		return nil, backReferred(m)
	}
	r, err := p.char()
	if err != nil {
		return nil, err
	}
	return p.literal(r), nil
}

var backReference = regexp.MustCompile(`^\\[1-9][0-9]?`)

func backReferred(what string) error {
	return refuse("a reference to what a group was, "+strconv.Quote(what)+", has no counterpart", "write again what the group may be")
}

// words are the classes that a letter names. Letters are those of all languages, as in Python.
var words = map[byte]string{'d': `\d`, 'D': `\D`, 's': `\s`, 'S': `\S`, 'w': `[\pL\pN_]`, 'W': `[^\pL\pN_]`}

var numbers = regexp.MustCompile(`^\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(0[0-7]{0,2}))`)

// char reads an escaped character.
func (p *parser) char() (rune, error) {
	if m := numbers.FindStringSubmatch(p.text); m != nil {
		p.text = p.text[len(m[0]):]
		base := 16
		if m[4] != "" {
			base = 8
		}
		n, err := strconv.ParseUint(m[1]+m[2]+m[3]+m[4], base, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return 0, refuse("it names a character that does not exist", "")
		}
		return rune(n), nil
	}
	r, size := utf8.DecodeRuneInString(p.text[1:])
	p.text = p.text[1+size:]
	if i := strings.IndexRune("abfnrtv", r); i >= 0 {
		return rune("\a\b\f\n\r\t\v"[i]), nil
	}
	if r < utf8.RuneSelf && (r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9') {
		return 0, refuse(fmt.Sprintf(`Python knows no \%c, and does not compile it`, r), "")
	}
	return r, nil
}

// AsProblem is the problem that an error is.
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return &Problem{Reason: err.Error()}
}
