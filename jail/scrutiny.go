package jail

import (
	"exile/journal"
)

// Looker is a Filter that can say what a line that it does not know has in common with those that it knows. NewScrutiny asks for it by
// assertion.
type Looker interface {
	// Groups returns the group of rules that each rule belongs to, of those whose lines can be told by their words.
	Groups() map[string]int
	// HasForm reports whether the lines have a form that can be told from others.
	HasForm() bool
	// Look returns the group whose words the line has, or -1, and whether it has the form.
	Look(message []byte) (group int, formed bool)
}

// When the lines of a service count as changed. Most lines of most services are none that a filter knows, so that says nothing.
const (
	lookRate = 8 // lines that are looked at in a second of the log, so that a flood costs nothing

	// Words: where lines with these words used to be known, nearly all, none is any more.
	wordsKnown = 20 // lines of the rules that were known, twenty times as many as were not,
	wordsSpan  = 4  // and in how many hours
	wordsLines = 20 // lines with their words since then, none of them known,
	wordsHours = 4  // in that many hours, and in four times as many as ever between two that were known

	// Form: lines used to begin as those do that the filter knows.
	formKnown  = 200      // lines that were looked at before, nine in ten of which had the form
	formLines  = 100      // lines in a row without it, and four times as many as ever before,
	formTime   = 600      // seconds from the first of these to the last
	wontRepeat = 4        // how much longer than the longest such run before
	maxExample = 200      // bytes of a line that are shown
	hour       = 60 * 60  // seconds
	setBack    = 10 * 60  // seconds by which times go back only where a clock was set back; several logs, and clients, differ by less
	never      = -1 << 62 // an hour in which nothing was logged
)

// Scrutiny is a filter of a service, and finds out when it no longer knows the service's lines because these have changed. Its memory does not
// grow.
type Scrutiny struct {
	Filter
	name   string
	look   Looker
	groups map[string]int
	runs   []run // by group
	second int64 // of the last line that was looked at
	looked int   // lines in that second

	formed, strange uint64 // lines that were looked at, until the form was lost
	row, longest    uint64 // lines without the form in a row now, and the longest row before
	rowSince        int64  // when it began, in seconds
	lost            Drift  // of the form
}

// run is what came of a group of rules.
type run struct {
	known       uint64 // lines
	knownHours  int    // in which these came
	knownLast   int64  // the last of these hours
	others      uint64 // lines with their words that were not known, before the last that was
	lines       uint64 // with their words since the last that was known
	hours, most int    // in which these came, and the most that ever did
	last        int64  // the last of these hours
	lost        Drift
}

// Drift is what is known of a service's lines that have changed; the zero value: they have not.
type Drift struct {
	Filter string // whose lines they are
	Line   string // an example, cut; a stranger may have chosen some of it
}

// NewScrutiny returns the filter of that name under scrutiny. One that cannot say what lines have in common is only passed on.
func NewScrutiny(name string, f Filter) *Scrutiny {
	s := &Scrutiny{Filter: f, name: name}
	if l, ok := f.(Looker); ok {
		s.look, s.groups = l, l.Groups()
		n := 0
		for _, g := range s.groups {
			n = max(n, g+1)
		}
		s.runs = make([]run, n)
		for i := range s.runs {
			s.runs[i].last, s.runs[i].knownLast = never, never
		}
	}
	return s
}

// ParseEntry implements EntryFilter.
func (s *Scrutiny) ParseEntry(e *journal.Entry) Event {
	ev := Parse(s.Filter, e)
	switch {
	case s.look == nil:
	case ev.Rule != "":
		s.knows(ev.Rule, e.Time.Unix()/hour)
	case !ev.Ignored && s.due(e.Time.Unix()):
		s.wonder(e)
	}
	return ev
}

// due reports whether a line is to be looked at.
func (s *Scrutiny) due(second int64) bool {
	if later(second, s.second, setBack) {
		s.second, s.looked = second, 0
	}
	s.looked++
	return s.looked <= lookRate
}

// later reports whether a time is after the last, or so long before it that a clock was set back. Clients choose some of the times in logs, and
// those that go to and fro are to count once.
func later(now, last, back int64) bool { return now > last || now < last-back }

// knows notes a line that a rule knows.
func (s *Scrutiny) knows(rule string, now int64) {
	s.fits()
	g, ok := s.groups[rule]
	if !ok {
		return
	}
	r := &s.runs[g]
	if r.known++; later(now, r.knownLast, 1) {
		r.knownHours, r.knownLast = r.knownHours+1, now
	}
	r.others += r.lines
	r.lines, r.most, r.hours, r.last, r.lost = 0, max(r.most, r.hours), 0, never, Drift{}
}

// wonder looks at a line that no rule knows.
func (s *Scrutiny) wonder(e *journal.Entry) {
	group, formed := s.look.Look(e.Message)
	if group >= 0 {
		s.resembles(&s.runs[group], e)
	}
	switch {
	case !s.look.HasForm():
	case formed:
		s.fits()
	default:
		s.misfits(e)
	}
}

// resembles notes a line with the words of a group that no rule knows.
func (s *Scrutiny) resembles(r *run, e *journal.Entry) {
	r.lines++
	if now := e.Time.Unix() / hour; later(now, r.last, 1) {
		r.hours, r.last = r.hours+1, now
	}
	telling := r.known >= wordsKnown && r.knownHours >= wordsSpan && wordsKnown*r.others <= r.known
	if r.lost.Filter == "" && telling && r.lines >= wordsLines && r.hours >= max(wordsHours, wontRepeat*r.most) {
		r.lost = s.drift(e)
	}
}

// fits notes a line of the form.
func (s *Scrutiny) fits() {
	s.formed++
	s.longest, s.row, s.lost = max(s.longest, s.row), 0, Drift{}
}

// misfits notes a line without the form.
func (s *Scrutiny) misfits(e *journal.Entry) {
	if s.row == 0 {
		s.rowSince = e.Time.Unix()
	}
	s.row++
	if s.lost.Filter != "" {
		return
	}
	s.strange++
	before := s.strange - min(s.strange, s.row)
	used := s.formed+before >= formKnown && s.formed >= 9*before
	if used && s.row >= max(formLines, wontRepeat*s.longest) && e.Time.Unix()-s.rowSince >= formTime {
		s.lost = s.drift(e)
	}
}

func (s *Scrutiny) drift(e *journal.Entry) Drift {
	return Drift{s.name, string(e.Message[:min(len(e.Message), maxExample)])}
}

// Drift returns what is known of lines that have changed.
func (s *Scrutiny) Drift() Drift {
	if s.lost.Filter != "" {
		return s.lost
	}
	for i := range s.runs {
		if s.runs[i].lost.Filter != "" {
			return s.runs[i].lost
		}
	}
	return Drift{}
}
