package python

import (
	"regexp"
	"slices"
	"strings"
)

// This file replaces look-aheads whose meaning can be said without.

// Looked returns a sequence without the look-aheads that another expression can stand for. The others stay. It is nil for a sequence that
// matches nothing.
func Looked(nodes []*Node) []*Node {
	var out []*Node
	for i, n := range nodes {
		if n.Op != Look {
			out = append(out, within(n))
			continue
		}
		sub := n.Sub[0]
		switch {
		case n.Not && isEmpty(sub): // nothing is not followed by nothing
			return nil
		case i == len(nodes)-1 && !n.Not: // what follows is nobody's
			out = append(out, within(sub))
		case i == len(nodes)-1 && members(single(sub)) != nil:
			out = append(out, notThat(single(sub)))
		case n.Not && differs(sub, nodes[i+1:]): // it is true of what follows, whatever that is
		case n.Not:
			if other := unlike(sub, nodes[i+1:]); other != nil {
				return append(append(out, other), Looked(nodes[i+2:])...)
			}
			out = append(out, n)
		default:
			out = append(out, n)
		}
	}
	return out
}

// differs reports whether what follows begins with letters that are in none of the words.
func differs(not *Node, behind []*Node) bool {
	list := wordsOf(not)
	for _, w := range list {
		same := true
		for i, c := range []rune(w) {
			if i >= len(behind) || behind[i].Op != Literal || behind[i].Fold {
				return false
			}
			if same = behind[i].Text == string(c); !same {
				break
			}
		}
		if same {
			return false
		}
	}
	return len(list) > 0
}

// within replaces look-aheads inside a node. At the end of a group something may follow.
func within(n *Node) *Node {
	if len(n.Sub) == 0 || n.Op == Look {
		return n
	}
	out := *n
	if n.Op == Concat {
		guard := &Node{Op: Concat} // so that no look-ahead is the last
		if out.Sub = Looked(append(slices.Clone(n.Sub), guard)); out.Sub != nil {
			out.Sub = out.Sub[:len(out.Sub)-1]
			return &out
		}
		return n // its look-ahead that excludes everything is refused
	}
	out.Sub = nil
	for _, sub := range n.Sub {
		out.Sub = append(out.Sub, within(sub))
	}
	return &out
}

func isEmpty(n *Node) bool { return n.Op == Concat && len(n.Sub) == 0 }

// single takes off what only encloses one node.
func single(n *Node) *Node {
	for (n.Op == Concat || n.Op == Group) && len(n.Sub) == 1 {
		n = n.Sub[0]
	}
	return n
}

// notThat is the end of the line, or a character that is not the one.
func notThat(n *Node) *Node {
	text, _ := Print([]*Node{n})
	re := regexp.MustCompile(`^(?:` + text + `)$`)
	if re.MatchString("\n") {
		return &Node{Op: Look, Not: true, Sub: []*Node{n}} // the line feed at the end of fail2ban's lines is meant, too
	}
	except := &Node{Op: Class, Text: "[^" + text + "]"}
	switch {
	case n.Op == Class && n.Text[0] == '[' && n.Text[1] == '^':
		except.Text = "[" + n.Text[2:]
	case n.Op == Class && n.Text[0] == '[':
		except.Text = "[^" + n.Text[1:]
	case n.Op == Literal:
		except.Text = "[^" + quoteInClass([]rune(n.Text)[0]) + "]"
	}
	except.Fold = n.Fold
	return &Node{Op: Alternate, Sub: []*Node{except, {Op: End}}}
}

// unlike returns what stands for a look-ahead that excludes some words, and for the run of characters of a class behind it. It is nil if the
// words may go on behind that run.
func unlike(not *Node, behind []*Node) *Node {
	list := wordsOf(not)
	if len(list) == 0 || len(behind) == 0 {
		return nil
	}
	run := behind[0]
	if run.Op != Repeat || run.Max >= 0 || run.Min > 1 {
		return nil
	}
	in := members(run.Sub[0])
	if in == nil || run.Sub[0].Fold || in.MatchString("é") != in.MatchString("€") {
		return nil // of what is not ASCII, all or nothing is in the class
	}
	for i, w := range list {
		if len(behind) > 1 && behind[1].Op == Literal && !behind[1].Fold && strings.HasSuffix(w, behind[1].Text) && !in.MatchString(behind[1].Text) {
			w = strings.TrimSuffix(w, behind[1].Text)
			list[i] = w + complete
		}
		for _, c := range w {
			if !in.MatchString(string(c)) {
				return nil
			}
		}
	}
	if len(behind) > 1 && mayBegin(behind[1], list, 0) {
		return nil
	}
	return exceptWords(list, run, run.Min)
}

// complete ends a word with which a run may begin, if it goes on.
const complete = "\x00"

// exceptWords is a run of characters that begins with none of the words. It has at least so many characters.
func exceptWords(list []string, run *Node, least int) *Node {
	var heads []rune
	for _, w := range list {
		switch w {
		case "":
			return nil // it began with that word
		case complete:
			least = max(least, 1)
			continue
		}
		if c := []rune(w)[0]; !slices.Contains(heads, c) {
			heads = append(heads, c)
		}
	}
	all := &Node{Op: Alternate}
	if len(heads) == 0 {
		return &Node{Op: Repeat, Min: least, Max: -1, Sub: run.Sub}
	}
	if other := without(run.Sub[0], heads); other != nil {
		all.Sub = append(all.Sub, join([]*Node{other, {Op: Repeat, Max: -1, Sub: run.Sub}}))
	}
	for _, head := range heads {
		var tails []string
		for _, w := range list {
			if r := []rune(w); r[0] == head && w != complete {
				tails = append(tails, string(r[1:]))
			}
		}
		if tail := exceptWords(tails, run, 0); tail != nil {
			all.Sub = append(all.Sub, join([]*Node{{Op: Literal, Text: string(head)}, tail}))
		}
	}
	if least == 0 {
		all.Sub = append(all.Sub, &Node{Op: Concat})
	}
	return all
}

// without is a class without some characters; nil if nothing is left, or it is not known.
func without(n *Node, not []rune) *Node {
	re := members(n)
	var b strings.Builder
	b.WriteByte('[')
	// The characters of lines are many, but those that matter here are few: of others, all that the class has stay in it.
	has := func(c rune) bool { return c < 0x7f && re.MatchString(string(c)) && !slices.Contains(not, c) }
	for c := rune(' '); c < 0x7f; c++ {
		if !has(c) {
			continue
		}
		first := c
		for has(c + 1) {
			c++
		}
		b.WriteString(quoteInClass(first))
		if c > first+1 {
			b.WriteByte('-')
		}
		if c > first {
			b.WriteString(quoteInClass(c))
		}
	}
	if re.MatchString("\t") {
		b.WriteString(`\t`)
	}
	if re.MatchString("é") {
		b.WriteString(`\x{80}-\x{10FFFF}`)
	}
	if b.Len() == 1 {
		return nil
	}
	b.WriteByte(']')
	return &Node{Op: Class, Text: b.String()}
}

// mayBegin reports whether a node may begin with a character that goes on one of the words.
func mayBegin(n *Node, list []string, depth int) bool {
	if depth > 10 {
		return true
	}
	if n.Op == Literal {
		for _, w := range list {
			for _, c := range w {
				if n.Text == string(c) || n.Fold {
					return true
				}
			}
		}
		return false
	}
	return n.Op != End
}

// wordsOf returns the texts that a node can be, if these are few and written out.
func wordsOf(n *Node) []string {
	switch n.Op {
	case Literal:
		if n.Fold && cased(n) {
			return nil
		}
		return []string{n.Text}
	case Group:
		return wordsOf(n.Sub[0])
	case Alternate:
		var all []string
		for _, sub := range n.Sub {
			more := wordsOf(sub)
			if more == nil {
				return nil
			}
			all = append(all, more...)
		}
		return all
	case Concat:
		all := []string{""}
		for _, sub := range n.Sub {
			more := wordsOf(sub)
			if more == nil || len(all)*len(more) > maxVariants {
				return nil
			}
			var next []string
			for _, a := range all {
				for _, b := range more {
					next = append(next, a+b)
				}
			}
			all = next
		}
		return all
	default:
	}
	return nil
}

// Words returns the texts that an expression can be, if these are few and written out; else nil.
func Words(n *Node) []string {
	list := wordsOf(n)
	if slices.Contains(list, "") {
		return nil
	}
	return list
}
