package jail

import (
	"bytes"
	"testing"

	"exile/journal"
)

// words is a filter that knows lines with its word.
type words string

func (w words) Parse(message []byte) Event {
	if !bytes.Contains(message, []byte(w)) {
		return Event{}
	}
	return Event{Kind: Failure, Rule: string(w)}
}

// TestSeveral: a line is read by the filters that trust its sender alone, in order, and the first that knows it decides.
func TestSeveral(t *testing.T) {
	from := func(units ...string) func(*journal.Entry) bool {
		return func(e *journal.Entry) bool { return FromUnit(e, units, false) }
	}
	s := Several{{words("one"), from("a.service")}, {words("both"), from("a.service", "b.service")}, {words("two"), from("b.service")}}
	for _, c := range []struct{ unit, line, want string }{
		{"a.service", "one", "one"},
		{"b.service", "one", ""}, // the first filter does not trust b
		{"a.service", "two", ""}, // nor the third a
		{"b.service", "two", "two"},
		{"a.service", "one both", "one"},
		{"b.service", "one both two", "both"},
		{"c.service", "one both two", ""},
		{"", "one both two", ""},
	} {
		e := &journal.Entry{Unit: c.unit, Transport: "syslog", Message: []byte(c.line)}
		if got := s.ParseEntry(e).Rule; got != c.want {
			t.Errorf("%s: %q is %q, want %q", c.unit, c.line, got, c.want)
		}
		if got, want := s.Accepts(e), c.unit == "a.service" || c.unit == "b.service"; got != want {
			t.Errorf("%s: accepted: %t", c.unit, got)
		}
	}
	e := &journal.Entry{Unit: "b.service", Transport: "syslog", Message: []byte("nothing")}
	if n := testing.AllocsPerRun(10, func() { s.ParseEntry(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := s.Parse([]byte("one")).Rule; got != "" {
		t.Errorf("a line of nobody is %q", got)
	}
}
