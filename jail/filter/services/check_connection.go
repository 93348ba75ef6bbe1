package services

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
)

// A client's text can look like the id of somebody else's connection, too, and any word can be one. So the id must stand where no text of a
// client can move it: all before it is the service's own, and it is behind a character that is in none of the texts before that vary. That
// character is then the first, or second ..., of its kind in the line, whatever follows.

// connected reports why a pattern could find the id of a connection in a client's text.
func connected(match string, parts []*syntax.Regexp, never string) error {
	if !strings.Contains(match, "<CONNECTION>") {
		return nil
	}
	at := slices.IndexFunc(parts, isConnection)
	switch {
	case at < 0:
		return errors.New("match: <CONNECTION> must not be in a group that is optional or one of several: write two patterns")
	case at+1 == len(parts) || !closes(parts[:at+2]) && !separates(parts[at+1], 0):
		return errors.New("match: behind <CONNECTION> the pattern must say which character ends it, or $")
	case at == 1: // behind ^
		return nil
	case !separates(parts[at-1], len(parts[at-1].Rune)-1):
		return errors.New("match: before <CONNECTION> the pattern must say which character it is behind, as in conn=<CONNECTION>")
	}
	if err := vouched(parts[:at], never, "before"); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "<ADDR>", "<CONNECTION>"))
	}
	last := parts[at-1].Rune
	mark := last[len(last)-1]
	for _, n := range parts[:at] {
		if n.Op != syntax.OpLiteral && matchesRune(n, mark) {
			return fmt.Errorf("match: %s, before <CONNECTION>, can have a %q, so that the id could be in a client's text", n, mark)
		}
	}
	return nil
}

// separates reports whether that character of a part is written out, and in no id.
func separates(n *syntax.Regexp, at int) bool {
	return n.Op == syntax.OpLiteral && !isWord(byte(min(n.Rune[at], 127))) && n.Rune[at] != '-'
}

func isConnection(n *syntax.Regexp) bool {
	return n.Op == syntax.OpCapture && strings.HasPrefix(n.Name, "connection")
}
