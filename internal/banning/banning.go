// Package banning says what becomes of the decisions of jails: how long a ban is by the past of the offender, which ban it extends, which
// network is banned in place of many addresses, and who is banned from everywhere. It keeps nothing and knows no clock: a Book keeps, that of
// the daemon for a kernel, a disk and a world, that of a replay for none of these.
package banning

import (
	"net/netip"
	"time"

	"exile/internal/control"
	"exile/jail"
)

// Rules are the jails of a configuration, and the book of their bans.
type Rules struct {
	Jails []*Jail
	// Recidive is the jail, one of Jails, for addresses that Recidivists finds; both are nil if there is no such rule.
	Recidive    *Jail
	Recidivists *jail.Recidivists
	Book        Book
}

// Jail is the arithmetic of a jail, and what its bans depend on besides.
type Jail struct {
	*jail.Jail
	Name       string
	Length     func(offence int, p netip.Prefix) time.Duration // ban time by the number of the offence; jail.Permanent is for ever
	Aggregator *jail.Aggregator                                // nil: bans are not grouped
	Overall    bool                                            // offences in all jails count
	Remember   time.Duration                                   // how long an offence counts
}

// Book keeps the bans that stand and the past of offenders.
type Book interface {
	// Past returns what is remembered of a prefix in a jail.
	Past(j *Jail, p netip.Prefix) Past
	// Covering returns the bans of a jail that stop all of a prefix, the narrowest first.
	Covering(j *Jail, p netip.Prefix) []control.Ban
	// Do does a step, at once: the next one depends on it.
	Do(s Step)
}

// Past is what is remembered of an offender. A time in the future only means that a clock was set back.
type Past struct {
	Offences int
	Last     time.Time // when the last ban began
	Cleared  time.Time // attempts up to then do not count any more: they led to a ban, or were pardoned
	Pardoned time.Time // nor do anybody's up to then in this jail
}

// Step is a change of the book.
type Step struct {
	Verb Verb
	Jail *Jail
	Ban  control.Ban
	Why  string // of Protect: what protects the prefix
}

// Verb is what a step does.
type Verb uint8

// The verbs of steps.
const (
	Remember Verb = iota // the offence that the ban is for, as the past of its prefix
	Put                  // the ban, or replace the one of the same jail and prefix
	Cover                // lift a ban that a wider one has replaced
	Count                // the rule about repeat offenders has counted the ban
	Protect              // the ban is not made
)

// Of returns the ban that a decision of a jail is about, for lines of that origin. Its reason and its evidence are left to the caller, because
// their texts are costly.
func (j *Jail) Of(d *jail.Decision, source control.Origin) control.Ban {
	return control.Ban{
		Jail: j.Name, Prefix: d.Prefix, Since: d.At, Until: d.Until, Failures: d.Failures, Offence: d.Offence, Origin: j.Source(d.Prefix, source),
	}
}

// Source returns the origin of a ban that a jail decided on because of that source: the source, or a group if the prefix is one.
func (j *Jail) Source(p netip.Prefix, source control.Origin) control.Origin {
	if unit := j.Unit(p.Addr()); unit.IsValid() && p.Bits() < unit.Bits() {
		return control.OriginGroup
	}
	return source
}

// Served reports whether the prefix of a ban is banned already, or was banned for these same attempts: entries that are read again lead to the
// same decisions.
func (r *Rules) Served(j *Jail, b *control.Ban, now time.Time) bool {
	past := r.Book.Past(j, b.Prefix)
	for _, at := range [...]time.Time{past.Cleared, past.Pardoned} {
		if !b.Since.After(at) && !at.After(now) {
			return true
		}
	}
	amid := jail.AmidSessions(b.Reason) // it hits those who were spared until now
	for _, stands := range r.Book.Covering(j, b.Prefix) {
		if !amid || Strict(&stands) {
			return true
		}
	}
	return false
}

// Strict reports whether a ban means every address in it, including those with open sessions.
func Strict(b *control.Ban) bool {
	return b.Origin == control.OriginManual || b.Prefix.IsSingleIP() || jail.AmidSessions(b.Reason)
}

// Offend makes a ban for what an address did: it sets the length, remembers the offence, and applies the rule about repeat offenders. The ladder
// caps the length.
func (r *Rules) Offend(j *Jail, b control.Ban, ladder []time.Duration, now time.Time) {
	if b.Offence == 0 {
		b.Offence = 1 + r.offences(j, &b)
		b.Until = end(b.Since, jail.Capped(ladder, b.Offence, j.Length(b.Offence, b.Prefix)))
	}
	r.Book.Do(Step{Verb: Remember, Jail: j, Ban: b})
	r.Add(j, b, now)
	r.repeat(j, &b, now)
}

// end is when a ban of that length ends; zero: never.
func end(since time.Time, length time.Duration) time.Time {
	if length == jail.Permanent {
		return time.Time{}
	}
	return since.Add(length)
}

// offences returns how often the prefix was banned before, in this jail or in all.
func (r *Rules) offences(j *Jail, b *control.Ban) (n int) {
	for _, other := range r.Jails {
		if other != j && !j.Overall {
			continue
		}
		past := r.Book.Past(other, b.Prefix)
		if b.Since.Sub(past.Last) <= j.Remember {
			n += past.Offences
		}
	}
	return n
}

// Next returns how many bans of a prefix make its next one longer, and how long that lasts if no ladder caps it.
func (r *Rules) Next(j *Jail, p netip.Prefix, now time.Time) (offences int, length time.Duration) {
	if j.Length == nil { // it bans by hand only
		return 0, 0
	}
	offences = r.offences(j, &control.Ban{Prefix: p, Since: now})
	return offences, j.Length(offences+1, p)
}

// Add makes a ban, extends the one that stands, and bans the group around it if that is due. A ban that would be over already, because the log
// was read late, is not made.
func (r *Rules) Add(j *Jail, b control.Ban, now time.Time) {
	if b, _ = Begun(b, now); Over(&b, now) {
		return
	}
	if stands, ok := r.stands(j, b.Prefix); ok {
		b.Until = Longer(stands.Until, b.Until)
	}
	r.Book.Do(Step{Verb: Put, Jail: j, Ban: b})
	r.Group(j, b)
}

// stands returns the ban of exactly that prefix.
func (r *Rules) stands(j *Jail, p netip.Prefix) (control.Ban, bool) {
	if all := r.Book.Covering(j, p); len(all) > 0 && all[0].Prefix == p {
		return all[0], true
	}
	return control.Ban{}, false
}

// Begun moves a ban that begins in the future to now, and reports whether it did: a wrong clock, here or where the log was written, must
// not make a ban longer.
func Begun(b control.Ban, now time.Time) (control.Ban, bool) {
	ahead := b.Since.Sub(now)
	if ahead <= 0 {
		return b, false
	}
	b.Since = now
	if !b.Until.IsZero() {
		b.Until = b.Until.Add(-ahead)
	}
	return b, true
}

// Over reports whether a ban has ended.
func Over(b *control.Ban, now time.Time) bool { return !b.Until.IsZero() && !b.Until.After(now) }

// Longer returns the later of two ends; zero is never.
func Longer(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && a.After(b) {
		return a
	}
	return b
}
