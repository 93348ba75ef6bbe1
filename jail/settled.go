package jail

import (
	"net/netip"
	"time"
)

// settled is what is known, when entries are read again, about the attempts in them. It ends with the first new entry.
type settled struct {
	prefixes map[netip.Prefix]time.Time // see Recall
	memory   time.Time                  // see Resume
}

// Recall says, before entries are read again, that the attempts of a prefix up to that time have had their consequences:
// it was banned for them, or pardoned. They do not count again while entries are Replayed.
func (j *Jail) Recall(p netip.Prefix, until time.Time) {
	if j.settled.prefixes == nil {
		j.settled.prefixes = make(map[netip.Prefix]time.Time)
	}
	if until.After(j.settled.prefixes[p]) {
		j.settled.prefixes[p] = until
	}
}

// Pardon says that no failure up to that time counts, of any address and whenever it is read. The zero time pardons none.
// Logins count in any case.
func (j *Jail) Pardon(until time.Time) { j.pardoned = until }

// Resume says, before entries are read again, that the detector remembers everything up to that time. It does not see the
// attempts up to then again while entries are Replayed.
func (j *Jail) Resume(until time.Time) { j.settled.memory = until }

// has reports whether the consequences of an attempt are known already.
func (s *settled) has(at time.Time, p netip.Prefix) bool {
	return !at.After(s.memory) || !at.After(s.prefixes[p])
}
