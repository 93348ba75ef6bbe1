package banning

import (
	"fmt"
	"net/netip"
	"time"

	"exile/internal/control"
	"exile/internal/human"
	"exile/jail"
)

// Group replaces many bans of a jail by one around them, if b made them enough.
func (r *Rules) Group(j *Jail, b control.Ban) {
	if j.Aggregator == nil {
		return
	}
	if w, ok := j.Aggregator.Add(b.Prefix); ok {
		r.widen(j, w, b)
	}
}

// widen bans the wider prefix for as long as the longest ban that it replaces, and then lifts those.
func (r *Rules) widen(j *Jail, w jail.Wider, last control.Ban) {
	wide := last
	wide.Prefix, wide.Failures, wide.Origin = w.Prefix, 0, control.OriginGroup
	wide.Reason = fmt.Sprintf("prefix: stands for %s in it", human.Count(w.Count, "bans"))
	var covered []control.Ban
	for _, p := range w.Members {
		if b, ok := r.stands(j, p); ok {
			wide.Until = Longer(wide.Until, b.Until)
			wide.Failures += b.Failures
			covered = append(covered, b)
		}
	}
	if old, ok := r.stands(j, w.Prefix); ok {
		wide.Until = Longer(wide.Until, old.Until)
		if old.Origin == control.OriginManual {
			wide.Origin = old.Origin // a ban by hand means everything and everybody in it
		}
	}
	r.Book.Do(Step{Verb: Put, Jail: j, Ban: wide})
	for _, b := range covered {
		r.Book.Do(Step{Verb: Cover, Jail: j, Ban: b})
	}
}

// Ended tells a jail that a ban has ended or was lifted: attempts count again.
func (j *Jail) Ended(p netip.Prefix) {
	j.Release(p)
	j.Covered(p)
}

// Covered tells a jail that a wider ban has replaced a ban.
func (j *Jail) Covered(p netip.Prefix) {
	if j.Aggregator != nil {
		j.Aggregator.Remove(p)
	}
}

// repeat bans an address from everywhere if it is banned again and again. The ban of a group is no offence of an address.
func (r *Rules) repeat(j *Jail, b *control.Ban, now time.Time) {
	if r.Recidive == nil || b.Prefix.Bits() < j.Unit(b.Prefix.Addr()).Bits() {
		return
	}
	v, ok := r.Recidivists.Observe(b.Prefix, b.Since)
	r.Book.Do(Step{Verb: Count, Jail: j, Ban: *b})
	if !ok {
		return
	}
	again := control.Ban{
		Jail: r.Recidive.Name, Prefix: v.Prefix, Since: b.Since, Until: end(b.Since, v.Duration), Failures: v.Failures, Offence: 1,
		Origin: b.Origin, Reason: v.Reason.String(),
	}
	if why, ok := r.Protects(r.Recidive, again.Prefix, now); ok {
		r.Book.Do(Step{Verb: Protect, Jail: r.Recidive, Ban: again, Why: why})
		return
	}
	r.Add(r.Recidive, again, now)
}

// Protects reports whether a ban of the prefix in that jail would hit an address that is never banned, and why it is not. The rule about repeat
// offenders bans from everywhere, so it respects the allowlists of all jails.
func (r *Rules) Protects(j *Jail, p netip.Prefix, now time.Time) (why string, ok bool) {
	jails := []*Jail{j}
	if j == r.Recidive {
		jails = r.Jails
	}
	for _, j := range jails {
		if why, ok = j.Allowed(p.Addr(), now); !ok {
			why, ok = j.Touches(p, now)
		}
		if ok {
			return why, true
		}
	}
	return "", false
}
