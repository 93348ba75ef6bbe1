package fail2ban

import (
	"slices"

	"exile/internal/fail2ban/python"
	"exile/jail/filter/services"
)

// This file says where in a line an expression begins. fail2ban looks for it in a line without its time; exile's filters read the line with
// it, or only the message of a syslog line.

// front returns what matches a line as exile reads it. A pattern must begin where the line does.
func (w *translator) front(nodes []*python.Node, whole bool) []*python.Node {
	begin := &python.Node{Op: python.Begin}
	if nodes[0].Op != python.Begin {
		rest := w.brackets(withoutPrefix(nodes))
		if !whole {
			return rest
		}
		return append([]*python.Node{begin, python.Anything()}, rest...)
	}
	rest := nodes[1:]
	for len(rest) > 0 && rest[0].Op == python.Begin {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return nodes
	}
	out := append([]*python.Node{begin}, w.opening(rest)...)
	return append(out, w.brackets(withoutPrefix(rest))...)
}

func withoutPrefix(nodes []*python.Node) []*python.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *python.Node) bool { return n.Op == python.Prefix })
}

// opening is what stands before an expression that is for the line's beginning.
func (w *translator) opening(rest []*python.Node) []*python.Node {
	time := timeNode(w.stamps, false)
	switch {
	case rest[0].Op == python.Prefix && w.form == services.Syslog:
		return nil
	case rest[0].Op == python.Prefix:
		return w.header(time)
	case time == nil, rest[0].IsAnything(), isHost(rest[0]), w.hasGap(rest):
		return nil
	case slices.ContainsFunc(w.stamps, func(s stamp) bool { return !s.inside }):
	default:
		return nil
	}
	return []*python.Node{maybe(time)} // fail2ban also takes lines without
}

func maybe(n *python.Node) *python.Node {
	return &python.Node{Op: python.Repeat, Max: 1, Sub: []*python.Node{n}}
}

// header is what a syslog daemon writes before the message, or the time alone, as fail2ban's prefix takes it.
func (w *translator) header(time *python.Node) []*python.Node {
	text, sample := "", ""
	if time != nil {
		text, sample = `(?:\[?`+time.Text+`\]?\s*)?`, time.Sample+" "
	}
	name := "host"
	if n, err := python.Parse(w.source("_daemon")); err == nil && w.daemon != anyDaemon {
		name = sampleOf([]*python.Node{n}, strategy{})
	}
	text += `(?:<SERVER>\s+)?(?:[\[(]?` + w.daemon + `[\])]?:?(?:\[\d+\])?:?\s+)?`
	return []*python.Node{{Op: python.Given, Text: text, Sample: sample + "host " + name + "[123]: "}}
}

func (w *translator) source(key string) string {
	v, _, _ := w.def.text(key)
	return v.text
}

// hasGap reports whether an empty pair of brackets is in there, or a gap, in which the time was.
func (w *translator) hasGap(nodes []*python.Node) bool {
	for i, n := range nodes {
		if i+1 < len(nodes) && (isEmptyPair(n, nodes[i+1]) || w.isGap(n, nodes[i+1])) {
			return true
		}
		if w.hasGap(n.Sub) {
			return true
		}
	}
	return false
}

func isEmptyPair(a, b *python.Node) bool {
	return a.Op == python.Literal && a.Text == "[" && b.Op == python.Literal && b.Text == "]"
}

// isGap reports whether that is two blanks, between which the time may have been if it is not at the line's beginning.
func (w *translator) isGap(a, b *python.Node) bool {
	return a.Op == python.Literal && a.Text == " " && b.Op == python.Literal && b.Text == " " && w.stamps[0].inside
}

// brackets puts the time back between empty brackets, or into a gap.
func (w *translator) brackets(nodes []*python.Node) []*python.Node {
	time := timeNode(w.stamps, true)
	if time == nil || w.form == services.Syslog {
		return nodes
	}
	return w.filled(nodes, time)
}

func (w *translator) filled(nodes []*python.Node, time *python.Node) (out []*python.Node) {
	for i, n := range nodes {
		if len(n.Sub) > 0 {
			same := *n
			same.Sub = w.filled(n.Sub, time)
			n = &same
		}
		out = append(out, n)
		if i+1 < len(nodes) && (isEmptyPair(n, nodes[i+1]) || w.isGap(n, nodes[i+1])) {
			out = append(out, time)
		}
	}
	return out
}
