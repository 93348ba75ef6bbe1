package jail

import (
	"path"
	"slices"
	"strings"

	"exile/journal"
)

// Trusted reports whether e was logged by the service and not by somebody who only says so. units may hold patterns in the
// manner of path.Match, for the instances of a template.
//
// _UID comes with the datagram's credentials and cannot be forged; the unit is looked up by journald and is missing for a
// process that exits at once, and a login's processes move to a session's scope: then the identifier, which the sender
// chooses, is believed because the sender is root. What a service writes to its standard output is trusted only if the
// jail says so: sshd -e does not encode line feeds in user names. A text log has no more than the identifier.
func Trusted(e *journal.Entry, units, identifiers []string, trustStdout bool) bool {
	switch e.Transport {
	case "text":
		return slices.Contains(identifiers, e.Identifier)
	case "syslog", "journal":
	case "stdout":
		if !trustStdout {
			return false
		}
	default:
		return false
	}
	if e.UID != 0 {
		return false
	}
	return matchesAny(e.Unit, units) || movesAway(e.Unit) && slices.Contains(identifiers, e.Identifier)
}

// movesAway reports whether a service's process can be found in that unit.
func movesAway(unit string) bool {
	return unit == "" || strings.HasPrefix(unit, "user@") ||
		strings.HasPrefix(unit, "session-") && strings.HasSuffix(unit, ".scope")
}

func matchesAny(unit string, patterns []string) bool {
	if unit == "" {
		return false
	}
	for _, p := range patterns {
		if p == unit {
			return true
		}
		if ok, err := path.Match(p, unit); err == nil && ok {
			return true
		}
	}
	return false
}

// Selector returns the coarse match that a journal's index can answer; Trusted is the fine one.
func Selector(units, identifiers []string) journal.Selector {
	root := journal.Term{Field: "_UID", Values: []string{"0"}}
	var s journal.Selector
	if len(identifiers) > 0 {
		s = append(s, journal.Group{root, {Field: "SYSLOG_IDENTIFIER", Values: slices.Clone(identifiers)}})
	}
	if len(units) > 0 {
		s = append(s, journal.Group{root, {Field: "_SYSTEMD_UNIT", Values: slices.Clone(units)}})
	}
	return s
}
