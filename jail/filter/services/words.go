package services

import (
	"bytes"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// words are texts of which every match of a pattern has one, in some case: a long list of names, say. To look for them takes a nanosecond
// for each byte of a line. The regular expression takes a thousand times as long, and clients choose how long a line is.
type words struct {
	seconds [32]uint32   // by the first letter: a bit for each second one. Letters are numbered as in ASCII, without the bit for case.
	byFirst [32][]string // by the first letter, in lower case
}

// The limits of lists. What is shorter is in most lines.
const (
	shortestWord = 3
	longestWord  = 16
	mostWords    = 128
)

// in reports whether one of the words is in a message. The two letters that fold to an ASCII letter, the Kelvin sign and the long s, may stand
// for one.
func (w *words) in(message []byte) bool {
	for i := 1; i < len(message); i++ {
		first := message[i-1] & 31
		if w.seconds[first]&(1<<(message[i]&31)) != 0 && w.begins(message[i-1:]) {
			return true
		}
	}
	return bytes.Contains(message, []byte("\u212a")) || bytes.Contains(message, []byte("\u017f"))
}

func (w *words) begins(message []byte) bool {
next:
	for _, word := range w.byFirst[message[0]&31] {
		if len(message) < len(word) {
			continue
		}
		for i := range len(word) {
			c := message[i]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			if c != word[i] {
				continue next
			}
		}
		return true
	}
	return false
}

// wordsOf returns the list of words in an expression that says most, or nil.
func wordsOf(tree *syntax.Regexp) *words {
	var best []start
	parts := flatten(tree)
	for i, n := range parts {
		if n.Op == syntax.OpLiteral && n.Flags&syntax.FoldCase == 0 {
			continue // matcher looks for these, in their order
		}
		if all := startsOf(parts[i:]); shortest(all) > shortest(best) {
			best = all
		}
	}
	if shortest(best) < shortestWord {
		return nil
	}
	w := new(words)
	for _, s := range best {
		first := s.text[0] & 31
		w.seconds[first] |= 1 << (s.text[1] & 31)
		if !slices.Contains(w.byFirst[first], s.text) {
			w.byFirst[first] = append(w.byFirst[first], s.text)
		}
	}
	return w
}

// start is how a text that matches can begin, in lower case.
type start struct {
	text  string
	whole bool // it is all of the text
}

// anything is a start that says nothing.
var anything = []start{{}}

func shortest(all []start) int {
	if len(all) == 0 {
		return 0
	}
	return len(slices.MinFunc(all, func(a, b start) int { return len(a.text) - len(b.text) }).text)
}

// startsOf returns how texts can begin that match these parts one after the other.
func startsOf(parts []*syntax.Regexp) []start {
	all := []start{{whole: true}}
	for _, n := range parts {
		var next []start
		tails := starts(n)
		for _, s := range all {
			if !s.whole || len(s.text) >= longestWord {
				next = append(next, start{text: s.text})
				continue
			}
			for _, tail := range tails {
				next = append(next, start{s.text + tail.text, tail.whole})
			}
		}
		if len(next) > mostWords {
			return all
		}
		all = next
	}
	return all
}

// starts returns how texts can begin that match an expression.
func starts(n *syntax.Regexp) []start {
	switch n.Op {
	case syntax.OpEmptyMatch:
		return []start{{whole: true}}
	case syntax.OpLiteral:
		return literalStart(n.Rune)
	case syntax.OpCharClass:
		return classStarts(n.Rune)
	case syntax.OpCapture, syntax.OpConcat:
		return startsOf(n.Sub)
	case syntax.OpQuest:
		return append(starts(n.Sub[0]), start{whole: true})
	case syntax.OpAlternate:
		var all []start
		for _, sub := range n.Sub {
			all = append(all, starts(sub)...)
		}
		if len(all) <= mostWords {
			return all
		}
	default:
	}
	return anything
}

func literalStart(text []rune) []start {
	ascii := slices.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
	if ascii < 0 {
		return []start{{strings.ToLower(string(text)), true}}
	}
	return []start{{text: strings.ToLower(string(text[:ascii]))}}
}

// classStarts returns the few letters of a class, which are ranges.
func classStarts(ranges []rune) (all []start) {
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] > 3 {
			return anything
		}
		for c := ranges[i]; c <= ranges[i+1]; c++ {
			switch {
			case c <= unicode.MaxASCII:
				all = append(all, start{strings.ToLower(string(c)), true})
			case c != '\u212a' && c != '\u017f': // see in
				return anything
			}
		}
	}
	if len(all) > 8 || len(all) == 0 {
		return anything
	}
	return all
}
