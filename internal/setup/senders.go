package setup

import (
	"path/filepath"
	"slices"

	"exile/internal/config"
	"exile/jail"
	"exile/jail/filter/services"
	"exile/journal"
	"exile/journal/textlog"
)

// This file says whose lines a jail believes. sshd's are root's; those of other services are the lines of their units, whichever user these
// run as. What one of a jail's filters believes the others do not see.

// Accepts returns what reports whether a line is the service's own, and from where its filter reads: one of those that were chosen for the jail.
// It is for one goroutine.
func (r *Reading) Accepts(chosen []*Reading) func(*journal.Entry) bool {
	own, places := r.believes(), r.places(FromJournal(chosen))
	return func(e *journal.Entry) bool { return places(e) && own(e) }
}

// maxPlaces is how many logs are remembered as those that a filter reads or not. A service may make any number.
const maxPlaces = 512

// places returns what reports whether an entry is from the journal or, where logs were chosen, from one of these. If the whole jail reads the
// journal, that is what is read in its place, too, where there is none. Otherwise a syslog daemon's log is another filter's, and would tell
// what the journal told.
func (r *Reading) places(whole bool) func(*journal.Entry) bool {
	if r.Logs == nil {
		return func(e *journal.Entry) bool {
			return e.Transport != "text" || whole && slices.Contains(AuthLogs(), e.Log)
		}
	}
	known := make(map[string]bool) // by log: the lines of many come in turn
	return func(e *journal.Entry) bool {
		if e.Transport != "text" {
			return false
		}
		reads, ok := known[e.Log]
		if !ok {
			if len(known) >= maxPlaces {
				clear(known)
			}
			name := filepath.Clean(e.Log)
			reads = slices.ContainsFunc(r.Logs, func(pattern string) bool { return textlog.IsLog(pattern, name) })
			known[e.Log] = reads
		}
		return reads
	}
}

// believes returns what reports whether the service itself wrote a line.
func (r *Reading) believes() func(*journal.Entry) bool {
	p := r.Part
	switch {
	case p.Named():
		return named(p)
	case p.InDocker():
		return func(e *journal.Entry) bool { return jail.FromLog(e, nil, true) && (p.TrustStdout || jail.Printed(e)) }
	}
	if p.Service == nil {
		return func(e *journal.Entry) bool { return jail.Trusted(e, p.Units, p.Identifiers, p.TrustStdout) }
	}
	switch p.Service.Sender {
	case services.Root:
		return func(e *journal.Entry) bool {
			return jail.FromRoot(e, p.Identifiers) || jail.Trusted(e, p.Units, p.Identifiers, p.TrustStdout)
		}
	case services.Kernel:
		return func(e *journal.Entry) bool {
			return e.Transport == "kernel" || jail.FromLog(e, p.Identifiers, OwnLog(p))
		}
	default:
		return func(e *journal.Entry) bool {
			return jail.FromUnit(e, p.Units, p.TrustStdout) || jail.FromLog(e, p.Identifiers, OwnLog(p))
		}
	}
}

// named returns what reports whether the entry is one that match: or containers: names, and the beginning of a line.
func named(p *config.Part) func(*journal.Entry) bool {
	var pieces jail.Pieces
	return func(e *journal.Entry) bool {
		if !p.Containers.From(e, p.TrustStdout) && !jail.FromMatch(e, p.Match, p.Containers.Owner, p.TrustStdout) {
			return false
		}
		return !pieces.Continues(e)
	}
}

// Unwatched returns what tells the units of root's that log like the service and that nobody watches.
func Unwatched(c *config.Jail, f jail.Filter) func(*journal.Entry) string {
	if !c.SSHD() || c.Contained() {
		return func(*journal.Entry) string { return "" }
	}
	return func(e *journal.Entry) string {
		unit := jail.Elsewhere(e, c.Units, c.Identifiers)
		if unit == "" || !f.Parse(e.Message).Addr.IsValid() {
			return ""
		}
		return unit
	}
}

// Sought is what filters read in the journal.
type Sought struct {
	Select journal.Selector // the coarse match; empty: nothing
	Fields []string         // that entries must have, besides those with a place of their own, so that filters can tell whose they are
	Users  bool             // also what users other than root log, which journald keeps in journals of their own
}

// Seek returns what filters read in the journal.
func Seek(all []*Reading) (s Sought) {
	for _, r := range all {
		if r.Logs != nil {
			continue
		}
		s.Select = append(s.Select, r.selector()...)
		if r.Named() {
			s.Fields = append(append(s.Fields, jail.ContainerFields()...), r.Match.Others()...)
			s.Users = s.Users || r.Containers.Owner != 0
		}
	}
	s.Fields = distinct(s.Fields)
	return s
}

// Add adds what others read.
func (s *Sought) Add(o Sought) {
	s.Select = append(s.Select, o.Select...)
	s.Fields = distinct(append(s.Fields, o.Fields...))
	s.Users = s.Users || o.Users
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *Reading) selector() journal.Selector {
	switch {
	case r.Named():
		return append(slices.Clone(r.Match), r.Containers.Selector()...)
	case r.Service == nil || r.Service.Sender == services.Root:
		return jail.Selector(r.Units, r.Identifiers)
	case r.Service.Sender == services.Kernel:
		return jail.KernelSelector()
	default:
		return jail.UnitSelector(r.Units)
	}
}
