package jail

import (
	"net/netip"
	"time"
)

// Recall tells, before entries are read again, that the attempts of a prefix up to that time have had their
// consequences: it was banned for them, or pardoned. They are not counted again while entries are Replayed.
func (j *Jail) Recall(p netip.Prefix, until time.Time) {
	if j.recalled == nil {
		j.recalled = make(map[netip.Prefix]time.Time)
	}
	if until.After(j.recalled[p]) {
		j.recalled[p] = until
	}
}

// settled reports whether an attempt has had its consequences.
func (j *Jail) settled(a *Attempt) bool {
	if len(j.recalled) == 0 {
		return false
	}
	until, ok := j.recalled[j.cfg.prefix(a.Addr)]
	return ok && !a.Time.After(until)
}
