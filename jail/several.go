package jail

import "exile/journal"

// Several is the filter of a jail with several services. A line is shown to the parts that trust its sender, in order; the first that knows it
// says what it is.
type Several []Part

// Part is one of the filters, and whose lines it reads.
type Part struct {
	Filter
	Accepts func(*journal.Entry) bool // whether a line is its service's own
}

// Accepts reports whether a part reads the line.
func (s Several) Accepts(e *journal.Entry) bool {
	for i := range s {
		if s[i].Accepts(e) {
			return true
		}
	}
	return false
}

// Parse implements Filter. Without a sender nobody's word counts: ParseEntry is what a jail asks.
func (s Several) Parse([]byte) Event { return Event{} }

// ParseEntry reads a line with the parts that trust its sender.
func (s Several) ParseEntry(e *journal.Entry) Event {
	ignored := false
	for i := range s {
		if !s[i].Accepts(e) {
			continue
		}
		ev := Parse(s[i].Filter, e)
		if ev.Rule != "" {
			return ev
		}
		ignored = ignored || ev.Ignored
	}
	return Event{Ignored: ignored}
}

// Drift returns what is known of lines of one of the services that have changed.
func (s Several) Drift() Drift {
	for i := range s {
		if f, ok := s[i].Filter.(interface{ Drift() Drift }); ok {
			if d := f.Drift(); d.Filter != "" {
				return d
			}
		}
	}
	return Drift{}
}
