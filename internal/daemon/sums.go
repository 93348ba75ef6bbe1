package daemon

import (
	"time"

	"exile/internal/control"
)

// sumAbove is how many bans that are lifted together, in one jail and for one reason, get a journal entry each. A flush of 300,000 bans would
// otherwise write as many entries, a gigabyte, and push everything else out of the journal.
const sumAbove = 100

// lifting is what bans that are lifted together have in common.
type lifting struct{ jail, reason string }

// sum adds one announcement, for the journal only, for many bans that were lifted together, and marks those that it replaces.
func sum(events []control.Event) []control.Event {
	counts := make(map[lifting]int)
	for i := range events {
		if e := &events[i]; e.Kind == control.BanRemoved && !e.Summed {
			counts[lifting{e.Ban.Jail, e.Reason}]++
		}
	}
	for i := range events {
		e := &events[i]
		e.Summed = e.Summed || e.Kind == control.BanRemoved && counts[lifting{e.Ban.Jail, e.Reason}] > sumAbove
	}
	for of, n := range counts {
		if n > sumAbove {
			events = append(events, control.Event{
				Kind: control.BansRemoved, Time: time.Now(), Ban: control.Ban{Jail: of.jail}, Reason: of.reason, Count: n,
			})
		}
	}
	return events
}

// forJournal returns the announcements that go to the journal.
func forJournal(events []control.Event) (heard []control.Event) {
	for i := range events {
		if !events[i].Summed {
			heard = append(heard, events[i])
		}
	}
	return heard
}
