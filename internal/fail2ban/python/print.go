package python

import (
	"fmt"
	"regexp"
	"strings"
)

// Print writes nodes that follow each other as Go's package regexp reads them, with the tags of exile's filters: of groups only those named
// user stay groups, and only the first.
func Print(nodes []*Node) (string, error) {
	w := &printer{}
	if allFold(nodes) {
		w.out.WriteString("(?i)")
		w.fold = true
	}
	if err := w.sequence(nodes); err != nil {
		return "", err
	}
	w.unfold()
	return w.out.String(), nil
}

type printer struct {
	out    strings.Builder
	user   bool // the group user was written
	fold   bool // all that is written ignores case
	inFold bool // inside (?i:
}

// cased reports whether upper and lower case make a difference for a node.
func cased(n *Node) bool {
	return n.Op == Literal && strings.ToLower(n.Text) != strings.ToUpper(n.Text) || n.Op == Class && n.Text[0] == '['
}

// allFold reports whether upper and lower case are the same in all nodes.
func allFold(nodes []*Node) bool {
	folds, others := false, false
	for _, n := range nodes {
		n.Has(func(n *Node) bool {
			folds = folds || cased(n) && n.Fold
			others = others || cased(n) && !n.Fold || n.Op == Given && n.Text[0] != '<'
			return false
		})
	}
	return folds && !others
}

func (w *printer) sequence(nodes []*Node) error {
	for _, n := range nodes {
		if err := w.node(n); err != nil {
			return err
		}
	}
	return nil
}

// leaf writes a text, for which upper and lower case may be the same.
func (w *printer) leaf(text string, fold, matters bool) {
	switch {
	case w.fold || !matters:
	case fold && !w.inFold:
		w.out.WriteString("(?i:")
		w.inFold = true
	case !fold:
		w.unfold()
	}
	w.out.WriteString(text)
}

func (w *printer) unfold() {
	if w.inFold {
		w.out.WriteString(")")
	}
	w.inFold = false
}

var fixed = map[Op]string{Any: ".", Begin: "^", End: "$", Edge: `\b`, NoEdge: `\B`, Host: `\[?<ADDR>\]?`}

func (w *printer) node(n *Node) error {
	if n.Op != Literal && n.Op != Class {
		w.unfold()
	}
	switch n.Op {
	case Literal:
		w.leaf(quote(n.Text), n.Fold, cased(n))
	case Class:
		w.leaf(n.Text, n.Fold, cased(n))
	case Given:
		w.out.WriteString(n.Text)
	case Concat:
		return w.sequence(n.Sub)
	case Alternate:
		return w.enclosed("(?:", n.Sub)
	case Group:
		if n.Text == "user" && !w.user {
			w.user = true
			return w.enclosed("(?P<user>", branches(n.Sub[0]))
		}
		if n.Sub[0].Op == Alternate {
			return w.node(n.Sub[0])
		}
		return w.sequence(n.Sub)
	case Repeat:
		return w.repeat(n)
	case Look:
		return refuse("a look-ahead, such as (?=x) or (?!x), has no counterpart", "match what may stand there, and put what must not below ignore:")
	case Prefix, Refer:
		return refuse("it has the prefix of syslog in a place where exile cannot read it", "")
	default:
		w.out.WriteString(fixed[n.Op])
	}
	return nil
}

func branches(n *Node) []*Node {
	if n.Op == Alternate {
		return n.Sub
	}
	return []*Node{n}
}

// enclosed writes one of several nodes, in a group that begins so.
func (w *printer) enclosed(begin string, nodes []*Node) error {
	w.out.WriteString(begin)
	for i, n := range nodes {
		if i > 0 {
			w.out.WriteString("|")
		}
		if err := w.node(n); err != nil {
			return err
		}
		w.unfold()
	}
	w.out.WriteString(")")
	return nil
}

func (w *printer) repeat(n *Node) error {
	sub := n.Sub[0]
	for sub.Op == Group && sub.Text != "user" || sub.Op == Concat && len(sub.Sub) == 1 {
		sub = sub.Sub[0]
	}
	write := func() error { return w.node(sub) }
	if sub.Op == Concat || sub.Op == Repeat || sub.Op == Host || sub.Op == Given {
		write = func() error { return w.enclosed("(?:", []*Node{sub}) }
	}
	err := write()
	w.out.WriteString(countOf(n)) // inside (?i: it is for the last character, too
	return err
}

func countOf(n *Node) string {
	text := ""
	switch {
	case n.Min == 0 && n.Max == 1:
		text = "?"
	case n.Min == 0 && n.Max < 0:
		text = "*"
	case n.Min == 1 && n.Max < 0:
		text = "+"
	case n.Max < 0:
		text = fmt.Sprintf("{%d,}", n.Min)
	case n.Min == n.Max:
		text = fmt.Sprintf("{%d}", n.Min)
	default:
		text = fmt.Sprintf("{%d,%d}", n.Min, n.Max)
	}
	if n.Lazy {
		text += "?"
	}
	return text
}

// quote writes a character that stands for itself. Angle brackets are for tags.
func quote(text string) string {
	switch {
	case text == "<" || text == ">":
		return `\` + text
	case text < " ":
		return quoteInClass([]rune(text)[0])
	}
	return regexp.QuoteMeta(text)
}
