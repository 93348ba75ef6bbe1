package services

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"exile/jail"
)

// What lines that no pattern matches have in common with those that one does: the words of a pattern, or the form of the line's beginning.

// likeness is what a filter knows its service's lines by. It does not change.
type likeness struct {
	cores  [][]byte         // the longest text of patterns, each once
	groups map[string]int   // the core of each pattern, by its name
	heads  []*regexp.Regexp // the beginnings of patterns, up to their first word
}

const (
	// coreLetters is how many letters a text has at least that says what a line is about.
	coreLetters = 10
	// wordLetters is how many letters end the beginning of a line.
	wordLetters = 3
	// headParts is how many parts a beginning has at least that says what form a line has.
	headParts = 3
)

// newLikeness makes it of the patterns. A text that is in a sample that no pattern may match says nothing.
func (s *Service) newLikeness(samples []sample) *likeness {
	l := &likeness{groups: make(map[string]int)}
	seen := make(map[string]bool)
	for i := range s.patterns {
		p := &s.patterns[i]
		if core := p.core(samples); core != nil && p.kind != jail.Success {
			l.groups[p.name] = l.group(core)
		}
		if head := p.head(); head != nil && !seen[head.String()] {
			seen[head.String()] = true
			l.heads = append(l.heads, head)
		}
	}
	return l
}

func (l *likeness) group(core []byte) int {
	for i, known := range l.cores {
		if bytes.Equal(core, known) {
			return i
		}
	}
	l.cores = append(l.cores, core)
	return len(l.cores) - 1
}

// core returns the longest text that all matches have and that says much; nil if there is none.
func (m *matcher) core(samples []sample) (core []byte) {
	for _, l := range m.literals {
		if len(l) > len(core) && lettersIn(string(l)) >= coreLetters && !inNone(samples, l) {
			core = l
		}
	}
	return core
}

func lettersIn(text string) (n int) {
	for _, c := range text {
		if unicode.IsLetter(c) {
			n++
		}
	}
	return n
}

func inNone(samples []sample, core []byte) bool {
	return slices.ContainsFunc(samples, func(s sample) bool { return s.Pattern == nothing && strings.Contains(s.Line, string(core)) })
}

// head returns what matches the beginning of the lines up to the first word, or to the first text of a client; nil if that is next to nothing.
func (m *matcher) head() *regexp.Regexp {
	tree, err := syntax.Parse(m.re.String(), syntax.Perl)
	if err != nil {
		return nil // it was compiled before
	}
	var expr strings.Builder
	n := 0
	for _, part := range flatten(tree) {
		if part.Op == syntax.OpLiteral && lettersIn(string(part.Rune)) >= wordLetters || part.Name == "user" || part.Op == syntax.OpStar {
			break
		}
		expr.WriteString("(?:" + part.String() + ")")
		n++
	}
	re, err := regexp.Compile(expr.String())
	if err != nil || n < headParts || re.MatchString("") {
		return nil
	}
	return re
}

// Groups implements jail.Looker.
func (r reader) Groups() map[string]int { return r.likeness.groups }

// HasForm implements jail.Looker.
func (r reader) HasForm() bool { return len(r.likeness.heads) > 0 }

// Look implements jail.Looker.
func (r reader) Look(message []byte) (group int, formed bool) {
	message = message[:min(len(message), maxLine)]
	formed = slices.ContainsFunc(r.likeness.heads, func(head *regexp.Regexp) bool { return head.Match(message) })
	for i, core := range r.likeness.cores {
		if bytes.Contains(message, core) {
			return i, formed
		}
	}
	return -1, formed
}
