// Package python reads regular expressions of Python, with the tags that fail2ban has in them, and writes them as Go's package regexp reads
// them. What has no counterpart there is an error that says so.
package python

// Op says what a node is.
type Op int

// The operators.
const (
	Literal   Op = iota // Text is a character
	Class               // Text is a class in Go's words, brackets included
	Any                 // a character that is no line feed
	Begin               // of the text
	End                 // of the text
	Edge                // of a word
	NoEdge              // no edge of a word
	Concat              // all of Sub, one after the other
	Alternate           // one of Sub
	Repeat              // Sub, from Min to Max times; Max -1: any number
	Group               // Sub, in a group that Text names; empty: it has no name
	Look                // what follows must be Sub, or must not
	Refer               // what the group Text was
	Host                // an address or, of the tags that say so, a host's name
	Prefix              // what a syslog daemon writes before the message
	Given               // Text is an expression as it is to be written, Sample a text that it matches
)

// Node is a part of an expression.
type Node struct {
	Op        Op
	Text      string
	Sample    string
	Fold      bool // upper and lower case are the same
	Lazy      bool
	Capture   bool // of Group: Python keeps what it was
	Not       bool // of Look: it must not follow
	Min, Max  int
	Sub       []*Node
	Names     bool // of Host: it can be a name, too
	Networks  bool // of Host: it can be a network
	Arbitrary bool // of Host: what fail2ban takes for one need not be one
}

// PrefixMark stands for [Prefix] in the text of an expression.
const PrefixMark = '\uE000'

// Has reports whether a node is, or has in it, one for which is says so.
func (n *Node) Has(is func(*Node) bool) bool {
	if is(n) {
		return true
	}
	for _, sub := range n.Sub {
		if sub.Has(is) {
			return true
		}
	}
	return false
}

// IsAnything reports whether a node is any text of a line, be it empty or not.
func (n *Node) IsAnything() bool {
	return n.Op == Repeat && n.Max < 0 && n.Min < 2 && n.Sub[0].Op == Any
}

// Anything is any text of a line, as little as is possible: what follows is found where it is first.
func Anything() *Node { return &Node{Op: Repeat, Max: -1, Lazy: true, Sub: []*Node{{Op: Any}}} }

func join(nodes []*Node) *Node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	return &Node{Op: Concat, Sub: nodes}
}

// Replaced replaces literals from mark on by the nodes that stand for them: by(0) for mark itself.
func Replaced(nodes []*Node, mark rune, by func(rune) *Node) []*Node {
	var out []*Node
	for _, n := range nodes {
		if r := []rune(n.Text); n.Op == Literal && r[0] >= mark && r[0] < mark+0x100 {
			out = append(out, by(r[0]-mark))
			continue
		}
		if len(n.Sub) > 0 {
			same := *n
			same.Sub = Replaced(n.Sub, mark, by)
			n = &same
		}
		out = append(out, n)
	}
	return out
}
