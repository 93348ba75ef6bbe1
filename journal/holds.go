package journal

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Holds reports whether s wants e. It sees the fields that e has a place for, and of the others those in Fields: a source delivers these if it was
// asked for them.
func (s Selector) Holds(e *Entry) bool {
	return len(s) == 0 || slices.ContainsFunc(s, func(g Group) bool { return g.Holds(e) })
}

// Holds reports whether all terms of the group hold for e.
func (g Group) Holds(e *Entry) bool {
	return !slices.ContainsFunc(g, func(t Term) bool { return !t.holds(e) })
}

func (t *Term) holds(e *Entry) bool {
	value, ok := e.Field(t.Field)
	return ok && slices.ContainsFunc(t.Values, func(v string) bool { return valueMatches(v, value) })
}

func valueMatches(wanted, value string) bool {
	if !strings.ContainsAny(wanted, "*?[") {
		return wanted == value
	}
	ok, err := path.Match(wanted, value)
	return ok && err == nil
}

// Field returns the value of a journal field, and whether the entry is known to have it.
func (e *Entry) Field(name string) (value string, ok bool) {
	switch name {
	case "_UID":
		return strconv.FormatInt(e.UID, 10), e.UID >= 0
	case "_PID":
		return strconv.FormatInt(int64(e.PID), 10), e.PID > 0
	case "_SYSTEMD_UNIT":
		return e.Unit, e.Unit != ""
	case "SYSLOG_IDENTIFIER":
		return e.Identifier, e.Identifier != ""
	case "_TRANSPORT":
		return e.Transport, e.Transport != ""
	}
	value, ok = e.Fields[name]
	return value, ok
}

// Others returns the names of the fields in s that an entry has no place of its own for: those to ask a source for so that Holds can see them.
func (s Selector) Others() (names []string) {
	for _, g := range s {
		for _, t := range g {
			switch t.Field {
			case "_UID", "_PID", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_TRANSPORT":
			default:
				if !slices.Contains(names, t.Field) {
					names = append(names, t.Field)
				}
			}
		}
	}
	return names
}
