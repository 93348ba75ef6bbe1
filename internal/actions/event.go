package actions

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"exile/internal/control"
	"exile/internal/human"
)

// Event is what an action is told. Its texts are clean: see Clean.
type Event struct {
	ID    string        `json:"id"`    // the same if the event is told twice
	Host  string        `json:"host"`  // the name of this host
	Event control.Event `json:"event"` // as "exilectl monitor --json" prints it
}

// maxText is how much of a text from outside is passed on, in bytes.
const maxText = 1 << 10

// NewEvent returns the event for actions.
func NewEvent(id, host string, e control.Event) Event {
	e.Reason, e.Ban.Reason, e.Ban.Jail = Clean(e.Reason), Clean(e.Ban.Reason), Clean(e.Ban.Jail)
	e.Ban.Origin = control.Origin(Clean(string(e.Ban.Origin)))
	e.Ban.Evidence = ""
	return Event{ID: Clean(id), Host: Clean(host), Event: e}
}

// Clean returns text that is inert wherever it is shown: control characters, those that change the direction of writing or are invisible, and
// bytes that are no text become escapes as in Go, and what is too long is cut. exiled has quoted what attackers chose; this does not depend on
// it.
func Clean(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case b.Len() > maxText:
			return b.String() + "..."
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Address is the address or network that the event is about; empty if it is about many.
func (e *Event) Address() string {
	if !e.Event.Ban.Prefix.IsValid() {
		return ""
	}
	return control.FormatPrefix(e.Event.Ban.Prefix)
}

// Title says in a few words what happened.
func (e *Event) Title() string {
	b, simulated := &e.Event.Ban, ""
	if b.Simulated {
		simulated = " (simulated)"
	}
	switch e.Event.Kind {
	case control.BanNew:
		return fmt.Sprintf("%s banned in jail %s%s", e.Address(), b.Jail, simulated)
	case control.BansRemoved:
		return fmt.Sprintf("%s lifted in jail %s%s", human.Count(e.Event.Count, "bans"), b.Jail, simulated)
	}
	return fmt.Sprintf("ban of %s lifted in jail %s%s", e.Address(), b.Jail, simulated)
}

// Text says in one sentence what happened, and why.
func (e *Event) Text() string {
	b := &e.Event.Ban
	if e.Event.Kind != control.BanNew {
		return fmt.Sprintf("%s: %s.", e.Title(), e.Event.Reason)
	}
	text := e.Title()
	if b.Until.IsZero() {
		text += " for ever"
	} else {
		text += " for " + human.Span(b.Until.Sub(b.Since).Round(time.Second))
	}
	if b.Origin == control.OriginManual {
		text += " by hand"
	} else {
		text += " after " + human.Count(b.Failures, "attempts")
	}
	if b.Offence > 1 {
		text += fmt.Sprintf(", for the %s time", ordinal(b.Offence))
	}
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	return text + "."
}

func ordinal(n int) string {
	end := "th"
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return strconv.Itoa(n) + end
}

// Environment returns the event as variables, with the names that the fields of exile's journal entries have.
func (e *Event) Environment() []string {
	b := &e.Event.Ban
	all := []string{"EXILE_EVENT=" + string(e.Event.Kind), "EXILE_ID=" + e.ID, "EXILE_HOST=" + e.Host, "EXILE_JAIL=" + b.Jail}
	add := func(name, value string) {
		if value != "" {
			all = append(all, "EXILE_"+name+"="+value)
		}
	}
	add("TIME", stamp(e.Event.Time))
	add("REASON", e.Event.Reason)
	add("RULE", b.Reason)
	if e.Event.Kind == control.BansRemoved {
		add("COUNT", strconv.Itoa(e.Event.Count))
	}
	if b.Simulated {
		add("SIMULATED", "yes")
	}
	if !b.Prefix.IsValid() {
		return all
	}
	add("ADDRESS", e.Address())
	add("SINCE", stamp(b.Since))
	add("FAILURES", strconv.Itoa(b.Failures))
	add("OFFENCE", strconv.Itoa(b.Offence))
	add("ORIGIN", string(b.Origin))
	if !b.Until.IsZero() {
		add("UNTIL", stamp(b.Until))
		add("DURATION_USEC", strconv.FormatInt(b.Until.Sub(b.Since).Microseconds(), 10))
	}
	return all
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
