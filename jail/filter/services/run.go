package services

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// run is a stretch of text without a character that is in no address, as it can be at one point of a pattern: how many of the characters of
// addresses it can have at most.
type run struct {
	width, dots, colons, digits, hex int
	colon                            bool // it can end with a colon
	pair                             bool // it can have two colons side by side
	varies                           bool // it is not only written out in the pattern
	found                            bool // it can be an address: 1.1.1.1 and ::1 are the shortest
}

// many stands for any number.
const many = 1000

// over returns the run behind a part of a pattern, when r is the run before it.
func (r run) over(n *syntax.Regexp) run {
	switch n.Op {
	case syntax.OpLiteral:
		for _, c := range n.Rune {
			r = r.next(string(c), 1, 1)
		}
		return r
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		r.varies = true
		return r.next(charsOf(n), 1, 1)
	case syntax.OpStar:
		return r.repeat(n.Sub[0], 0, many)
	case syntax.OpPlus:
		return r.repeat(n.Sub[0], 1, many)
	case syntax.OpQuest:
		return r.or(r.over(n.Sub[0]))
	case syntax.OpRepeat:
		last := n.Max
		if last < 0 {
			last = many
		}
		return r.repeat(n.Sub[0], n.Min, min(last, many))
	case syntax.OpAlternate:
		return r.anyOf(n.Sub)
	default:
	}
	if isSafe(n) {
		return run{found: r.found}
	}
	for _, sub := range n.Sub {
		r = r.over(sub)
	}
	return r
}

func (r run) anyOf(subs []*syntax.Regexp) run {
	out := r.over(subs[0])
	for _, sub := range subs[1:] {
		out = out.or(r.over(sub))
	}
	return out
}

// repeat returns the run behind a part that occurs several times. Where that is more than a character, nothing in it ends the run.
func (r run) repeat(sub *syntax.Regexp, least, most int) run {
	if most == 1 {
		return r.or(r.over(sub))
	}
	r.varies = true
	if chars := charsOf(sub); chars != "" || len(sub.Sub) == 0 {
		return r.next(chars, least, most)
	}
	once := r
	for i := 0; i < 8 && i < most; i++ { // eight groups are the longest address
		once = once.over(sub)
	}
	if least == 0 {
		once = once.or(r)
	}
	return once
}

// next returns the run behind so many of these characters. An empty list stands for characters that no address has.
func (r run) next(chars string, least, most int) run {
	chars = inAddress(chars)
	if chars == "" && least > 0 {
		return run{found: r.found}
	}
	count := func(n *int, of string) {
		if strings.ContainsAny(chars, of) {
			*n = min(*n+most, many)
		}
	}
	count(&r.width, digits+letters+".:")
	count(&r.dots, ".")
	count(&r.colons, ":")
	count(&r.digits, digits)
	count(&r.hex, digits+letters)
	has := strings.Contains(chars, ":")
	r.pair = r.pair || has && (r.colon || most > 1)
	r.colon = has || least == 0 && r.colon
	return r.judge()
}

const (
	digits  = "0123456789"
	letters = "abcdefABCDEF"
)

func (r run) judge() run {
	four := r.dots >= 3 && r.digits >= 4 && r.width >= len("1.1.1.1")
	six := r.hex >= 1 && r.width >= len("::1") && (r.colons >= 7 || r.pair)
	r.found = r.found || r.varies && (four || six)
	return r
}

// or returns what is possible if either r or o is.
func (r run) or(o run) run {
	return run{
		max(r.width, o.width), max(r.dots, o.dots), max(r.colons, o.colons), max(r.digits, o.digits), max(r.hex, o.hex),
		r.colon || o.colon, r.pair || o.pair, r.varies || o.varies, r.found || o.found,
	}
}

// charsOf returns the characters of addresses that a single character of a pattern can be.
func charsOf(n *syntax.Regexp) string {
	switch n.Op {
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
	case syntax.OpLiteral:
		if len(n.Rune) > 1 {
			return ""
		}
	default:
		return ""
	}
	var chars []byte
	for _, c := range digits + letters + ".:" {
		if matchesRune(n, c) {
			chars = append(chars, byte(c))
		}
	}
	return string(chars)
}

// inAddress leaves only the characters that addresses have.
func inAddress(chars string) string {
	return strings.Map(func(c rune) rune {
		if slices.Contains([]rune(digits+letters+".:"), c) {
			return c
		}
		return -1
	}, chars)
}
