package announce

import (
	"math"
	"strconv"
	"time"

	"exile/internal/control"
)

// MessageID returns the MESSAGE_ID of the journal entries for events of that kind.
func MessageID(k control.EventKind) string { return messageOf(k).id }

// Prefix is the prefix of the names of the fields that Read needs.
const Prefix = "EXILE_"

// Read returns the event of a journal entry, from its time and fields: the inverse of what Journal writes, except for the evidence and the
// latency. It returns false for an entry that is incomplete, or that describes no event.
func Read(at time.Time, fields map[string]string) (e control.Event, ok bool) {
	e = control.Event{
		Kind: control.EventKind(fields["EXILE_EVENT"]), Time: at, Reason: fields["EXILE_REASON"],
		Ban: control.Ban{
			Jail: fields["EXILE_JAIL"], Origin: control.Origin(fields["EXILE_ORIGIN"]), Reason: fields["EXILE_RULE"],
			Simulated: fields["EXILE_SIMULATED"] == "yes",
		},
	}
	switch e.Kind {
	case control.BansRemoved:
		return e, number(fields["EXILE_COUNT"], &e.Count)
	case control.BanNew, control.BanRemoved, control.Protected:
	default:
		return e, true
	}
	p, err := control.ParsePrefix(fields["EXILE_ADDRESS"])
	e.Ban.Prefix = p
	ok = err == nil && moment(fields["EXILE_SINCE"], &e.Ban.Since) && moment(fields["EXILE_UNTIL"], &e.Ban.Until) &&
		number(fields["EXILE_FAILURES"], &e.Ban.Failures) && number(fields["EXILE_OFFENCE"], &e.Ban.Offence)
	var length int // EXILE_UNTIL has whole seconds
	if ok = ok && number(fields["EXILE_DURATION_USEC"], &length); length > 0 && !e.Ban.Since.IsZero() {
		e.Ban.Until = e.Ban.Since.Add(time.Duration(length) * time.Microsecond)
	}
	return e, ok
}

// moment reads a time; an entry without one has the zero Time.
func moment(text string, t *time.Time) (ok bool) {
	if text == "" {
		return true
	}
	var err error
	*t, err = time.Parse(time.RFC3339, text)
	return err == nil
}

// number reads a count; an entry without one has 0.
func number(text string, n *int) bool {
	if text == "" {
		return true
	}
	var err error
	*n, err = strconv.Atoi(text)
	return err == nil && *n >= 0
}

// Latency returns how long after the deciding log entry the kernel had a ban; false if the event of an entry with these fields has none.
func Latency(fields map[string]string) (time.Duration, bool) {
	us, err := strconv.ParseInt(fields["EXILE_LATENCY_USEC"], 10, 64)
	if err != nil || us < 0 || us > math.MaxInt64/1000 {
		return 0, false
	}
	return time.Duration(us) * time.Microsecond, true
}
