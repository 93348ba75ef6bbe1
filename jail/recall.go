package jail

import (
	"net/netip"
	"time"
)

// recall is what is known, when entries are read again, of the attempts in them. It ends with the first entry that is new.
type recall struct {
	prefixes map[netip.Prefix]time.Time // see Recall
	memory   time.Time                  // see Resume
}

// Recall tells, before entries are read again, that the attempts of a prefix up to that time have had their
// consequences: it was banned for them, or pardoned. They are not counted again while entries are Replayed.
func (j *Jail) Recall(p netip.Prefix, until time.Time) {
	if j.recall.prefixes == nil {
		j.recall.prefixes = make(map[netip.Prefix]time.Time)
	}
	if until.After(j.recall.prefixes[p]) {
		j.recall.prefixes[p] = until
	}
}

// Resume tells, before entries are read again, that the detector remembers everything up to that time. It is not shown
// the attempts up to then again while entries are Replayed.
func (j *Jail) Resume(until time.Time) { j.recall.memory = until }

// settled reports whether an attempt is known already.
func (r *recall) settled(at time.Time, p netip.Prefix) bool {
	return !at.After(r.memory) || !at.After(r.prefixes[p])
}
