package jail

import (
	"strings"
	"testing"
	"time"

	"exile/journal"
)

// formal is a filter of lines in brackets: "[fail]" it knows, "refused" are its words, and "[-]" it ignores.
type formal struct{}

func (formal) Parse(message []byte) Event {
	switch string(message) {
	case "[fail] refused":
		return Event{Kind: Failure, Rule: "fail"}
	case "[-]":
		return Event{Ignored: true}
	}
	return Event{}
}

func (formal) Groups() map[string]int { return map[string]int{"fail": 0} }
func (formal) HasForm() bool          { return true }

func (formal) Look(message []byte) (int, bool) {
	group := -1
	if strings.Contains(string(message), "refused") {
		group = 0
	}
	return group, message[0] == '['
}

// story is lines, each so many times, some seconds apart.
type story []struct {
	line  string
	times int
	apart time.Duration
}

// TestScrutiny: lines count as changed if what used to be known is there and is not known, for long, and as long as that lasts.
func TestScrutiny(t *testing.T) {
	t.Parallel()
	const hour, minute, second = time.Hour, time.Minute, time.Second
	known := story{{"[fail] refused", 40, hour / 8}, {"[hello]", 300, minute}}
	for name, c := range map[string]struct {
		story story
		want  string
	}{
		"calm":                               {known, ""},
		"nothing known":                      {story{{"[x] refused", 1000, hour}}, ""},
		"a word more":                        {append(known, story{{"[fail] now refused", 30, 12 * minute}}...), "[fail] now refused"},
		"for a moment":                       {append(known, story{{"[fail] now refused", 1000, second}}...), ""},
		"few":                                {append(known, story{{"[fail] now refused", 19, hour}}...), ""},
		"known in between":                   {append(known, story{{"[x] refused", 19, hour}, {"[fail] refused", 1, hour}, {"[x] refused", 19, hour}}...), ""},
		"understood again":                   {append(known, story{{"[x] refused", 40, hour}, {"[fail] refused", 1, 1}}...), ""},
		"an attack in a single hour":         {story{{"[fail] refused", 1000, second}, {"[x] refused", 1000, hour}}, ""},
		"words that are in other lines, too": {append(story{{"[x] refused", 10, hour}}, append(known, story{{"[x] refused", 1000, hour}}...)...), ""},
		"a wait like those before":           {append(append(known, story{{"[x] refused", 2, 5 * hour}}...), append(known, story{{"[x] refused", 7, hour}}...)...), ""},
		"another form":                       {append(known, story{{"<hello>", 101, 7 * second}}...), "<hello>"},
		"another form, for a moment":         {append(known, story{{"<hello>", 500, second}}...), ""},
		"a long trace, as before":            {append(append(known, story{{"<trace>", 90, 8 * second}}...), append(known, story{{"<trace>", 300, 3 * second}}...)...), ""},
		"the form comes back":                {append(known, story{{"<hello>", 200, minute}, {"[hello]", 1, 1}}...), ""},
		"never had the form":                 {append(story{{"<hello>", 100, minute}}, append(known, story{{"<hello>", 1000, minute}}...)...), ""},
		"ignored":                            {append(known, story{{"[-]", 5000, hour}}...), ""},
		"a flood":                            {append(known, story{{"<hello>", 1_000_000, time.Microsecond}}...), ""},
	} {
		s := NewScrutiny("formal", formal{})
		at := time.Unix(1_700_000_000, 0)
		for _, part := range c.story {
			for range part.times {
				s.ParseEntry(&journal.Entry{Time: at, Message: []byte(part.line)})
				at = at.Add(part.apart)
			}
		}
		if got := (Several{{Filter: s}}).Drift(); got.Line != c.want || (got.Filter == "formal") != (c.want != "") {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

// TestScrutinyPasses: a filter that cannot say more is only passed on.
func TestScrutinyPasses(t *testing.T) {
	t.Parallel()
	s := NewScrutiny("words", words("one"))
	if ev := s.ParseEntry(&journal.Entry{Message: []byte("one")}); ev.Rule != "one" {
		t.Errorf("the line is %+v", ev)
	}
	if d := s.Drift(); d != (Drift{}) {
		t.Errorf("changed: %+v", d)
	}
}

// TestScrutinyOfTimes: times that go to and fro, as those of two logs or of a client's choice do, neither make hours of moments nor have more
// lines looked at. A clock that was set back does not stop it.
func TestScrutinyOfTimes(t *testing.T) {
	t.Parallel()
	f := &counting{}
	s := NewScrutiny("formal", f)
	log := func(at time.Time, line string) { s.ParseEntry(&journal.Entry{Time: at, Message: []byte(line)}) }
	at := time.Unix(1_700_000_000, 0).Truncate(time.Hour)
	for i := range 40 {
		log(at.Add(time.Duration(i)*time.Hour/8), "[fail] refused")
	}
	at = at.Add(6 * time.Hour)
	for i := range 1000 {
		log(at.Add(-time.Duration(i%2)*time.Second), "[x] refused")
	}
	if d := s.Drift(); d.Line != "" {
		t.Errorf("within two seconds the lines count as changed for hours: %+v", d)
	}
	if f.looked > 2*lookRate {
		t.Errorf("looked at %d lines of two seconds", f.looked)
	}
	at = at.Add(-48 * time.Hour)
	for i := range 30 {
		log(at.Add(time.Duration(i)*time.Hour), "[x] refused")
	}
	if d := s.Drift(); d.Line == "" {
		t.Error("after the clock was set back nothing is found")
	}
}

// counting counts the lines that are looked at.
type counting struct {
	formal
	looked int
}

func (c *counting) Look(message []byte) (int, bool) {
	c.looked++
	return c.formal.Look(message)
}
