package replay

import (
	"net/netip"
	"time"

	"exile/internal/banning"
	"exile/internal/control"
	"exile/jail"
)

// This file does what internal/banning says, as the daemon does: TestAsTheDaemon compares them.

// decide turns a decision into a ban, unless there is one already.
func (r *Replay) decide(j *Jail, d *jail.Decision) {
	if d.Protected != "" {
		r.protect()
		return
	}
	b := j.Of(d, control.OriginJournal)
	if r.bench.explains || d.Reason.Kind == jail.BySession { // the text is costly, and only of these matters what it says
		b.Reason = d.Reason.String()
	}
	if !r.bans.Served(&j.Jail, &b, r.now) {
		r.bans.Offend(&j.Jail, b, d.Ladder, r.now)
	}
}

func (r *Replay) protect() {
	if !r.silent {
		r.count.Protected++
	}
}

// book is the bench as the rules see it. It implements banning.Book.
type book struct{ *Replay }

// number returns the place of a jail among the rules' jails.
func (r book) number(j *banning.Jail) uint16 {
	for i, other := range r.bans.Jails {
		if other == j {
			return uint16(i)
		}
	}
	panic("replay: a jail of other rules")
}

// Past implements banning.Book.
func (r book) Past(j *banning.Jail, p netip.Prefix) banning.Past {
	old, ok := r.bench.pastOf(keyOf(r.number(j), p))
	if !ok {
		return banning.Past{}
	}
	last := timeOf(old.last)
	return banning.Past{Offences: int(old.offences), Last: last, Cleared: last}
}

// Covering implements banning.Book.
func (r book) Covering(j *banning.Jail, p netip.Prefix) (bans []control.Ban) {
	for b := range r.bench.covering(keyOf(r.number(j), p)) {
		bans = append(bans, r.ban(b))
	}
	return bans
}

// ban is a record as the rules see it.
func (r *Replay) ban(b *record) control.Ban {
	out := control.Ban{
		Jail: r.rules.Jails[b.jail].Name, Prefix: b.prefix(), Since: timeOf(b.at), Failures: int(b.attempts), Offence: int(b.offence),
		Origin: control.OriginJournal, Reason: r.bench.reasons[b.reason],
	}
	if b.origin == group {
		out.Origin = control.OriginGroup
	}
	if b.until != never {
		out.Until = timeOf(b.until)
	}
	return out
}

// Do implements banning.Book.
func (r book) Do(s banning.Step) {
	k := keyOf(r.number(s.Jail), s.Ban.Prefix)
	switch s.Verb {
	case banning.Remember:
		noBan := banning.Over(&s.Ban, r.now) || s.Ban.Since.After(r.now) // or one that begins at another time
		r.bench.remember(k, past{micro(s.Ban.Since), int32(s.Ban.Offence)}, noBan)
	case banning.Put:
		r.put(k, &s.Ban)
	case banning.Cover:
		r.bench.early++
		r.bench.lift(k)
		s.Jail.Covered(s.Ban.Prefix)
	case banning.Count:
	case banning.Protect:
		r.protect()
	}
}

func (r *Replay) put(k key, b *control.Ban) {
	made := record{
		key: k, at: micro(b.Since), until: endOf(b.Until), attempts: int32(b.Failures),
		offence: uint16(min(b.Offence, maxOffence)), silent: r.silent,
	}
	switch {
	case b.Origin == control.OriginGroup:
		made.origin = group
	case jail.AmidSessions(b.Reason):
		made.origin = amid
	case r.rules.Jails[k.jail] == r.rules.Recidive:
		made.origin = recidive
	}
	if r.bench.explains || made.origin == amid {
		made.reason = r.bench.keep(b.Reason)
	}
	r.bench.put(made)
	if !r.silent && r.seen != nil {
		r.hours.ban(b.Since)
	}
	if k, ok := r.bench.excess(); ok {
		r.rules.Jails[k.jail].Ended(k.prefix())
	}
}

func endOf(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return micro(t)
}

// expire lifts the bans whose time is over.
func (r *Replay) expire(now time.Time) {
	for {
		k, ok := r.bench.expired(micro(now))
		if !ok {
			return
		}
		r.rules.Jails[k.jail].Ended(k.prefix())
	}
}
