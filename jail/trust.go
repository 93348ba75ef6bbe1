package jail

import (
	"path"
	"slices"
	"strings"

	"exile/journal"
)

// Trusted reports whether the service itself logged e. units may hold patterns of path.Match, for the instances of a
// template.
//
// _UID comes with the datagram's credentials and cannot be forged. journald looks up the unit, which is missing for a process
// that exits at once; and the processes of a login move to a session's scope. In these cases the identifier, which the sender
// chooses, is believed because the sender is root. Lines from standard output are trusted only if the jail says so: sshd -e
// does not encode line feeds in user names. A text log has nothing but the identifier.
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
	return matchesAny(e.Unit, units) || OfUsers(e.Unit) && slices.Contains(identifiers, e.Identifier)
}

// FromUnit reports whether a process of one of the units logged e, whichever user it runs as. A process cannot choose its unit, and those of
// users are in units of their own. A line whose process has exited before journald looked has no unit, and is nobody's.
func FromUnit(e *journal.Entry, units []string, trustStdout bool) bool {
	switch e.Transport {
	case "syslog", "journal":
		return matchesAny(e.Unit, units)
	case "stdout":
		return trustStdout && matchesAny(e.Unit, units)
	default:
		return false
	}
}

// FromRoot reports whether a service that runs as root logged e under one of the identifiers, in whichever unit: PAM logs for the program
// that asks it. A program that a user starts, perhaps with root's rights and a name of the user's choice, is in no unit of the system.
func FromRoot(e *journal.Entry, identifiers []string) bool {
	return (e.Transport == "syslog" || e.Transport == "journal") && e.UID == 0 && slices.Contains(identifiers, e.Identifier) &&
		strings.HasSuffix(e.Unit, ".service") && !OfUsers(e.Unit)
}

// FromLog reports whether a line of a text log is from one of the identifiers. Lines of a log that only the service writes have none.
func FromLog(e *journal.Entry, identifiers []string, own bool) bool {
	return e.Transport == "text" && (own && e.Identifier == "" || slices.Contains(identifiers, e.Identifier))
}

// Elsewhere returns the unit of a line that root logged under the service's identifier, but from another unit. The instances
// of a template count as one, since their names may have an attacker's address. It is empty for any other line.
func Elsewhere(e *journal.Entry, units, identifiers []string) string {
	logged := e.Transport == "syslog" || e.Transport == "journal"
	if !logged || e.UID != 0 || !slices.Contains(identifiers, e.Identifier) || OfUsers(e.Unit) || matchesAny(e.Unit, units) {
		return ""
	}
	return Template(e.Unit)
}

// Template turns the name of an instance into a pattern for all instances of its template.
func Template(unit string) string {
	name, rest, ok := strings.Cut(unit, "@")
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 0 {
		return unit
	}
	return name + "@*" + rest[dot:]
}

// Watches reports whether one of the names and patterns matches that unit, or is the same pattern.
func Watches(units []string, unit string) bool { return matchesAny(unit, units) }

// OfUsers reports whether that is a unit to which processes of a service move, or none. Users' own processes are there, too.
func OfUsers(unit string) bool {
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

// UnitSelector is the coarse match of FromUnit.
func UnitSelector(units []string) journal.Selector {
	return journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: slices.Clone(units)}}}
}

// KernelSelector matches the lines of the kernel: their Transport is kernel.
func KernelSelector() journal.Selector {
	return journal.Selector{{{Field: "_TRANSPORT", Values: []string{"kernel"}}}}
}

// Selector returns the coarse match, which a journal's index can answer. Trusted is the fine one.
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
