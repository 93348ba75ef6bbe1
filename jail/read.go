package jail

import (
	"time"

	"exile/journal"
)

// Reader is the part of a jail that comes before any judgement: a filter, and the connections that its lines are about. What it finds follows
// from the log alone, so that one reader can serve several jails that have the same filter and decide differently.
type Reader struct {
	filter   Filter
	conns    *Connections
	counters Counters  // of lines
	attempts []Attempt // buffer, reused
}

// NewReader returns a reader that has seen nothing yet.
func NewReader(f Filter) *Reader { return &Reader{filter: f, conns: NewConnections()} }

// Reading is what a reader makes of an entry. The attempts are valid until its next call, the event as long as the entry.
type Reading struct {
	Event    Event
	Attempts []Attempt // of this entry, and those before it that waited for later lines
}

// Read takes the next entry of the service, which the caller trusts.
func (r *Reader) Read(e *journal.Entry) Reading {
	r.counters.Entries++
	r.attempts = r.conns.Advance(e.Time, r.attempts[:0])
	ev := r.conns.Resolve(Parse(r.filter, e), e.Time)
	r.count(&ev)
	r.attempts = r.conns.Observe(ev, e, r.attempts)
	return Reading{ev, r.attempts}
}

// Advance says what time it is, as Jail.Advance, and returns the attempts that waited for later lines, valid until the next call.
func (r *Reader) Advance(now time.Time) []Attempt {
	r.attempts = r.conns.Advance(now, r.attempts[:0])
	return r.attempts
}

func (r *Reader) count(ev *Event) {
	r.counters.Lines[ev.Kind]++
	switch {
	case ev.Ignored:
		r.counters.Ignored++
	case ev.Rule == Penalty && !ev.Counts:
		r.counters.Refused += uint64(max(ev.Count, 1))
	case ev.Rule == Refused && !ev.Addr.IsValid():
		r.counters.Nowhere += uint64(max(ev.Count, 1))
	case ev.Rule == Throttled:
		r.counters.Throttled++
	}
}

// Parse asks a filter what an entry says.
func Parse(f Filter, e *journal.Entry) Event {
	if f, ok := f.(EntryFilter); ok {
		return f.ParseEntry(e)
	}
	return f.Parse(e.Message)
}

// Reader returns the reader of the jail, which has counters in common with it.
func (j *Jail) Reader() *Reader { return j.reader }

// Drift returns what is known of lines of the jail's services that have changed, so that the filter does not know them.
func (j *Jail) Drift() Drift {
	if f, ok := j.reader.filter.(interface{ Drift() Drift }); ok {
		return f.Drift()
	}
	return Drift{}
}
