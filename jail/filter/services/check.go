package services

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// What a client chooses (a user name, a path, a HELO) can look like an address, and like the rest of the line, too. So the address of a
// pattern must be the only one in the line, or the first, or the last, with nothing of the client's before it, or behind it up to the line's
// end. The check refuses all other patterns. It takes for a client's whatever varies and has no tag that says that the service wrote it.

// check reports why a pattern could find an address that the client made up. never are characters that the user cannot have.
func check(match, never string) error {
	expr, err := expand(match, true)
	if err != nil {
		return err
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return err
	}
	if err := namesOf(match); err != nil {
		return err
	}
	parts := flatten(tree)
	if parts[0].Op != syntax.OpBeginText {
		return errors.New("match: must begin with ^, or a client's text could look like the whole line")
	}
	if err := connected(match, parts, never); err != nil {
		return err
	}
	at := slices.IndexFunc(parts, func(n *syntax.Regexp) bool { return n.Op == syntax.OpCapture && n.Name == "addr" })
	switch {
	case strings.Count(match, "<ADDR>") == 0:
		return nil
	case at < 0:
		return errors.New("match: <ADDR> must not be in a group that is optional or one of several: write two patterns")
	}
	before, behind := parts[:at], parts[at+1:]
	early, late := free(before, never), free(behind, never)
	first, last := early == nil, late == nil && closes(parts)
	switch {
	case first && last: // it is the only one
		return nil
	case first:
		if n := overruns(before, behind); n != nil {
			return fmt.Errorf("match: %s, before <ADDR>, could go on through the address into a client's text: "+
				"a character that it cannot have must follow it, as in <WORDS>, <ADDR>", brief(n))
		}
		return vouched(before, never, "before")
	case last && swallows(behind) && !greedy(before):
		return fmt.Errorf("match: %s, before <ADDR>, must be <USER> or .*: what is behind it could begin earlier in a client's text", brief(early))
	case last:
		return vouched(behind, never, "behind")
	case late == nil:
		return fmt.Errorf("match: %s, before <ADDR>, can hold an address that the client chose: end the pattern with $", brief(early))
	}
	return fmt.Errorf("match: both %s, before <ADDR>, and %s, behind it, can hold an address that the client chose", brief(early), brief(late))
}

// maxShown is how many characters of a part a message shows. Python's \w alone has thousands.
const maxShown = 60

// brief is a part of a pattern as messages show it.
func brief(n *syntax.Regexp) string {
	text := []rune(n.String())
	if len(text) > maxShown {
		return string(text[:maxShown]) + "..."
	}
	return string(text)
}

// named are groups, whose names the check relies on.
var named = regexp.MustCompile(`\(\?P?<(\w+)>`)

func namesOf(match string) error {
	for _, m := range named.FindAllStringSubmatch(match, -1) {
		if m[1] != "user" {
			return fmt.Errorf("match: a group may only be named user, not %s", m[1])
		}
	}
	return nil
}

// swallows reports whether a tag stands for so much text that an address and what follows it can be in there.
func swallows(parts []*syntax.Regexp) bool {
	return slices.ContainsFunc(parts, func(n *syntax.Regexp) bool {
		if isSafe(n) {
			return strings.HasPrefix(n.Name, "server") && holdsAddress(n.Sub[0])
		}
		return swallows(n.Sub)
	})
}

// overruns returns the first text before the address that can also be the address, what is between, and more, up to what in a client's text
// behind it looks like the rest of the pattern; nil: there is none. A character that the text cannot have stops it: one that must be
// between it and the address, or right behind the address.
func overruns(before, behind []*syntax.Regexp) *syntax.Regexp {
	for i, n := range before {
		if text := overrunning(n, slices.Concat(before[i+1:], behind[:min(1, len(behind))])); text != nil {
			return text
		}
	}
	return nil
}

// overrunning returns the first tag or repetition in n that could have an address in it, and that none of the parts which follow n stops.
func overrunning(n *syntax.Regexp, follow []*syntax.Regexp) *syntax.Regexp {
	switch {
	case !swallows([]*syntax.Regexp{n}):
		return nil
	case isSafe(n), n.Op == syntax.OpStar, n.Op == syntax.OpPlus, n.Op == syntax.OpRepeat:
		if stopped(n, follow) {
			return nil
		}
		return n
	}
	for i, sub := range n.Sub {
		after := follow
		if n.Op == syntax.OpConcat {
			after = slices.Concat(n.Sub[i+1:], follow)
		}
		if text := overrunning(sub, after); text != nil {
			return text
		}
	}
	return nil
}

// stopped reports whether one of the parts behind a text must have a character that neither the text can have nor a part between them, which
// could take it for the text.
func stopped(text *syntax.Regexp, behind []*syntax.Regexp) bool {
	for i, end := range behind {
		stops := func(c rune) bool {
			return !matchesRune(text, c) && !slices.ContainsFunc(behind[:i], func(between *syntax.Regexp) bool {
				return between.Op != syntax.OpLiteral && matchesRune(between, c)
			})
		}
		if mustHave(end, stops) {
			return true
		}
	}
	return false
}

// mustHave reports whether all texts of a part surely have a character of a kind.
func mustHave(n *syntax.Regexp, kind func(rune) bool) bool {
	switch n.Op {
	case syntax.OpLiteral:
		return slices.ContainsFunc(n.Rune, kind)
	case syntax.OpPlus:
		return mustHave(n.Sub[0], kind)
	case syntax.OpCharClass:
		for c := range rune(unicode.MaxASCII + 1) {
			if inClass(n, c) && !kind(c) {
				return false
			}
		}
		return n.Rune[len(n.Rune)-1] <= unicode.MaxASCII
	default:
		return false
	}
}

// greedy reports whether the last part that can hold an address takes as much of the line as it can, so that what follows it is what is last
// in the line.
func greedy(parts []*syntax.Regexp) bool {
	for _, n := range slices.Backward(parts) {
		if !holdsAddress(n) {
			continue
		}
		_, text := inner(n)
		return text.Op == syntax.OpStar && text.Flags&syntax.NonGreedy == 0 && text.Sub[0].Op == syntax.OpAnyCharNotNL
	}
	return true
}

func closes(parts []*syntax.Regexp) bool { return parts[len(parts)-1].Op == syntax.OpEndText }

// vouched reports a part that the pattern lets vary without a tag that says that the service wrote it. A client's text that begins there can
// go on with what looks like the rest of the pattern, though the pattern wants only a word. Numbers alone are not what clients choose.
func vouched(parts []*syntax.Regexp, never, where string) error {
	for i, n := range parts {
		if !delimited(parts, i, never) && chosen(n) {
			return fmt.Errorf("match: %s, %s <ADDR>, could be a client's text: if the service wrote it, say <ID>, <SERVER> or <WORDS>", brief(n), where)
		}
	}
	return nil
}

// chosen reports whether a client can have chosen something that n matches.
func chosen(n *syntax.Regexp) bool {
	switch n.Op {
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return strings.ContainsFunc(letters+"gGzZ.:_-/@+", func(c rune) bool { return inClass(n, c) })
	default:
	}
	return !isSafe(n) && slices.ContainsFunc(n.Sub, chosen)
}

// flatten returns the parts of an expression that match one after the other.
func flatten(n *syntax.Regexp) []*syntax.Regexp {
	if n.Op != syntax.OpConcat {
		return []*syntax.Regexp{n}
	}
	var parts []*syntax.Regexp
	for _, sub := range n.Sub {
		parts = append(parts, flatten(sub)...)
	}
	return parts
}

// free returns the first of the parts with which the text before could hold an address, or nil.
func free(parts []*syntax.Regexp, never string) *syntax.Regexp {
	var r run
	for i, n := range parts {
		if delimited(parts, i, never) {
			r = run{}
			continue
		}
		if r = r.over(n); r.found {
			return n
		}
	}
	return nil
}

// isSafe reports whether the service itself wrote the text.
func isSafe(n *syntax.Regexp) bool {
	return n.Op == syntax.OpCapture &&
		(strings.HasPrefix(n.Name, "time") || isConnection(n) || strings.HasPrefix(n.Name, "count") || strings.HasPrefix(n.Name, "port") || strings.HasPrefix(n.Name, "server"))
}

// delimited reports whether the text of a part ends where it seems to: it is in the quotes of JSON, or it cannot have one of the characters in
// never, and nor can what follows, up to that character.
func delimited(parts []*syntax.Regexp, i int, never string) bool {
	if name, _ := inner(parts[i]); strings.HasPrefix(name, "json") {
		return i > 0 && i+1 < len(parts) && ends(parts[i-1], '"') && begins(parts[i+1], '"')
	}
	return strings.ContainsFunc(never, func(c rune) bool {
		for j, n := range parts[i:] {
			switch {
			case j > 0 && n.Op == syntax.OpLiteral && slices.Contains(n.Rune, c):
				return true
			case matchesRune(n, c):
				return false
			}
		}
		return false
	})
}

func begins(n *syntax.Regexp, c rune) bool { return n.Op == syntax.OpLiteral && n.Rune[0] == c }

func ends(n *syntax.Regexp, c rune) bool {
	return n.Op == syntax.OpLiteral && n.Rune[len(n.Rune)-1] == c
}

// inner takes the groups off n, and returns the name of the innermost.
func inner(n *syntax.Regexp) (name string, text *syntax.Regexp) {
	for n.Op == syntax.OpCapture {
		name, n = n.Name, n.Sub[0]
		if strings.HasPrefix(name, "json") {
			break
		}
	}
	return name, n
}

// holdsAddress reports whether the text of a part can have an address in it. What is only written out in the pattern is nobody's choice.
func holdsAddress(n *syntax.Regexp) bool { return run{}.over(n).found }

// matchesRune reports whether a text of n can have that character.
func matchesRune(n *syntax.Regexp, c rune) bool {
	switch n.Op {
	case syntax.OpLiteral:
		return slices.ContainsFunc(n.Rune, func(r rune) bool {
			return r == c || n.Flags&syntax.FoldCase != 0 && unicode.ToLower(r) == unicode.ToLower(c)
		})
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return inClass(n, c)
	default:
	}
	return slices.ContainsFunc(n.Sub, func(sub *syntax.Regexp) bool { return matchesRune(sub, c) })
}

func inClass(n *syntax.Regexp, c rune) bool {
	if n.Op != syntax.OpCharClass {
		return n.Op == syntax.OpAnyChar || c != '\n'
	}
	for i := 0; i+1 < len(n.Rune); i += 2 {
		if n.Rune[i] <= c && c <= n.Rune[i+1] {
			return true
		}
	}
	return false
}
