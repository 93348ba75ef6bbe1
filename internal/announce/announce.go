// Package announce writes events to the journal, with the fields and message identifiers that the catalog and journalctl EXILE_ADDRESS=... use.
package announce

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"exile/internal/control"
	"exile/internal/human"
)

// message is how one kind of event is written: its identifier in units/catalog, its priority and its text.
type message struct {
	id       string
	priority journal.Priority
	text     func(e control.Event) string
}

// messageOf returns how an event is written.
func messageOf(k control.EventKind) message {
	switch k {
	case control.BanNew:
		return message{"2929576456a04afc970b3018a1aa88c1", journal.PriNotice, banText}
	case control.BanRemoved:
		return message{"7b858c017d99422f912f53032350349d", journal.PriInfo, unbanText}
	case control.BansRemoved:
		return message{"d5b57ad14e1344fbb1b1c4ef7f6b21a4", journal.PriInfo, unbansText}
	case control.Protected:
		return message{"08a414ee1f634b95aba9d51eb8c235a6", journal.PriWarning, protectedText}
	case control.Degraded:
		return message{"3c52cc56b2464469823b18ea07829228", journal.PriWarning, reasonText("Degraded")}
	case control.Recovered:
		return message{"07f96bccf87f43ec987caa6164ba0da4", journal.PriNotice, reasonText("Recovered")}
	case control.Repaired:
		return message{"255061d00a9d424baadaf4b2171a8d83", journal.PriWarning, repairedText}
	case control.StateChanged:
		return message{"23abe1c118f043a89489acad3957d444", journal.PriInfo, reasonText("The state has changed")}
	default:
		return message{"fdde0ea7bcb94bbc815d56706838379d", journal.PriInfo, reasonText("Reloaded the configuration")}
	}
}

func banText(e control.Event) string {
	b, done := e.Ban, "Banned"
	if e.Ban.Simulated {
		done = "Simulated a ban of"
	}
	text := fmt.Sprintf("%s %s in jail %s %s", done, address(b), b.Jail, untilText(b))
	if b.Origin == control.OriginManual {
		text += " by hand"
	} else {
		text += " after " + human.Count(b.Failures, "attempts")
	}
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	return text
}

func untilText(b control.Ban) string {
	if b.Until.IsZero() {
		return "for ever"
	}
	return "for " + human.Span(b.Until.Sub(b.Since).Round(time.Second))
}

func unbanText(e control.Event) string {
	kind := "ban"
	if e.Ban.Simulated {
		kind = "simulated ban"
	}
	return fmt.Sprintf("Lifted the %s of %s in jail %s: %s", kind, address(e.Ban), e.Ban.Jail, e.Reason)
}

func unbansText(e control.Event) string {
	kind := "bans"
	if e.Ban.Simulated {
		kind = "simulated bans"
	}
	return fmt.Sprintf("Lifted %s in jail %s: %s", human.Count(e.Count, kind), e.Ban.Jail, e.Reason)
}

func protectedText(e control.Event) string {
	return fmt.Sprintf("Did not ban %s in jail %s after %s: %s", address(e.Ban), e.Ban.Jail, human.Count(e.Ban.Failures, "attempts"), e.Reason)
}

func repairedText(e control.Event) string {
	return "Repaired " + human.Count(e.Count, "entries") + " in the kernel that somebody else had changed"
}

func reasonText(what string) func(control.Event) string {
	return func(e control.Event) string {
		if e.Reason == "" {
			return what
		}
		return what + ": " + e.Reason
	}
}

// address returns the prefix of a ban, without the length if it is a single address.
func address(b control.Ban) string {
	if b.Prefix.IsSingleIP() {
		return b.Prefix.Addr().String()
	}
	return b.Prefix.String()
}

// fields returns the event in a form for programs.
func fields(e control.Event) map[string]string {
	// Without an identifier, readers of the journal show a bare process id.
	f := map[string]string{"SYSLOG_IDENTIFIER": "exiled", "EXILE_EVENT": string(e.Kind)}
	if e.Reason != "" {
		f["EXILE_REASON"] = e.Reason
	}
	if e.Ban.Simulated {
		f["EXILE_SIMULATED"] = "yes"
	}
	if e.Ban.Jail != "" {
		f["EXILE_JAIL"] = e.Ban.Jail
	}
	if e.Kind == control.BansRemoved {
		f["EXILE_COUNT"] = strconv.Itoa(e.Count)
	}
	if !e.Ban.Prefix.IsValid() {
		return f
	}
	f["EXILE_ADDRESS"] = address(e.Ban)
	f["EXILE_SINCE"] = e.Ban.Since.UTC().Format("2006-01-02T15:04:05.000000Z")
	f["EXILE_FAILURES"] = strconv.Itoa(e.Ban.Failures)
	f["EXILE_OFFENCE"] = strconv.Itoa(e.Ban.Offence)
	f["EXILE_ORIGIN"] = string(e.Ban.Origin)
	if e.Ban.Reason != "" {
		f["EXILE_RULE"] = e.Ban.Reason
	}
	if e.Ban.Evidence != "" {
		f["EXILE_EVIDENCE"] = e.Ban.Evidence
	}
	if !e.Ban.Until.IsZero() {
		f["EXILE_UNTIL"] = e.Ban.Until.UTC().Format(time.RFC3339)
		f["EXILE_DURATION_USEC"] = strconv.FormatInt(e.Ban.Until.Sub(e.Ban.Since).Microseconds(), 10)
	}
	if e.Latency > 0 {
		f["EXILE_LATENCY_USEC"] = strconv.FormatInt(e.Latency.Microseconds(), 10)
	}
	return f
}

// Journal writes events to the journal from a queue, because journald may stall and banning must not.
type Journal struct {
	queue   chan *control.Event // pointers, because an event is large and the queue is mostly empty
	waiting atomic.Int64
	dropped atomic.Uint64
	send    func(text string, p journal.Priority, fields map[string]string) error
}

// NewJournal returns a Journal whose queue holds at most n events. fallback is called if there is no journal.
func NewJournal(n int, fallback func(text string)) *Journal {
	j := &Journal{queue: make(chan *control.Event, n), send: journal.Send}
	if !journal.Enabled() {
		j.send = func(text string, _ journal.Priority, _ map[string]string) error { fallback(text); return nil }
	}
	return j
}

// Announce queues an event; when the queue is full it counts the event and drops it.
func (j *Journal) Announce(e control.Event) {
	j.waiting.Add(1)
	select {
	case j.queue <- &e:
	default:
		j.waiting.Add(-1)
		j.dropped.Add(1)
	}
}

// Waiting returns how many events in the queue the journal does not have yet.
func (j *Journal) Waiting() int { return int(j.waiting.Load()) }

// Dropped returns how many events were dropped because the journal was too slow.
func (j *Journal) Dropped() uint64 { return j.dropped.Load() }

// Run writes until ctx ends and the queue is empty.
func (j *Journal) Run(ctx context.Context) {
	for {
		select {
		case e := <-j.queue:
			j.write(*e)
		case <-ctx.Done():
			j.drain()
			return
		}
	}
}

func (j *Journal) drain() {
	for {
		select {
		case e := <-j.queue:
			j.write(*e)
		default:
			return
		}
	}
}

// write sends one event. A failure could only be reported to the journal itself, so the event counts as dropped.
func (j *Journal) write(e control.Event) {
	m := messageOf(e.Kind)
	f := fields(e)
	f["MESSAGE_ID"] = m.id
	if err := j.send(m.text(e), m.priority, f); err != nil {
		j.dropped.Add(1)
	}
	j.waiting.Add(-1)
}
