package services

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Nearest says of lines that no pattern matches how far the best pattern came, for whoever writes patterns.
type Nearest struct{ ways []way }

// way is a pattern, cut behind each of its parts, the shortest first.
type way struct {
	name string
	cuts []*regexp.Regexp
}

// Nearest returns what tries the patterns of the service.
func (s *Service) Nearest() *Nearest {
	n := new(Nearest)
	for i := range s.patterns {
		n.ways = append(n.ways, newWay(&s.patterns[i]))
	}
	return n
}

func newWay(p *pattern) way {
	w := way{name: p.name}
	tree, err := syntax.Parse(p.re.String(), syntax.Perl)
	if err != nil {
		return w // it was compiled before
	}
	var expr strings.Builder
	for _, part := range flatten(tree) {
		expr.WriteString("(?:" + part.String() + ")") // an alternative is printed without
		if holdsAddress(part) && part.Name != "addr" {
			continue // what matches anything says nothing
		}
		if re, err := regexp.Compile(expr.String()); err == nil {
			w.cuts = append(w.cuts, re)
		}
	}
	return w
}

// Of returns the pattern that matches most of the line's beginning, and how many bytes that are; 0 if none matches anything.
func (n *Nearest) Of(message []byte) (pattern string, matched int) {
	message = message[:min(len(message), maxLine)]
	for _, w := range n.ways {
		if end := w.walk(message); end > matched {
			pattern, matched = w.name, end
		}
	}
	return pattern, matched
}

// walk returns where the longest cut that matches ends.
func (w *way) walk(message []byte) (end int) {
	for _, re := range w.cuts {
		at := re.FindIndex(message)
		if at == nil {
			return end
		}
		end = at[1]
	}
	return end
}
