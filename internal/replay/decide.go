package replay

import (
	"fmt"
	"net/netip"
	"time"

	"exile/internal/human"
	"exile/jail"
)

// This file carries out decisions as the daemon does (internal/daemon, loop.go and group.go): TestAsTheDaemon compares them.

// decide turns a decision into a ban, unless there is one already.
func (r *Replay) decide(j *Jail, d jail.Decision) {
	if d.Protected != "" {
		r.protect()
		return
	}
	b := record{
		key: keyOf(j.number, d.Prefix), at: micro(d.At), until: endOf(d.Until), attempts: int32(d.Failures), offence: int32(d.Offence),
		origin: r.originOf(j, &d),
	}
	if r.served(&b) {
		return
	}
	if b.offence == 0 {
		r.setLength(j, &b, d.Ladder)
	}
	r.bench.past[b.key] = past{b.at, b.offence}
	r.ban(j, b, d.Reason.String)
	r.applyRecidive(j, b)
}

func (r *Replay) protect() {
	if !r.silent {
		r.count.Protected++
	}
}

// originOf says whether a decision is about a group of addresses.
func (r *Replay) originOf(j *Jail, d *jail.Decision) origin {
	switch unit := j.Unit(d.Prefix.Addr()); {
	case unit.IsValid() && d.Prefix.Bits() < unit.Bits():
		return group
	case d.Reason.Kind == jail.BySession:
		return amid
	default:
		return offence
	}
}

func endOf(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return micro(t)
}

// served reports whether the prefix is banned already, or was banned for these same attempts.
func (r *Replay) served(b *record) bool {
	if last, ok := r.bench.past[b.key]; ok && b.at <= last.last && last.last <= micro(r.now) {
		return true
	}
	for stands := range r.bench.covering(b.key) {
		if b.origin != amid || stands.origin == amid || stands.prefix().IsSingleIP() {
			return true
		}
	}
	return false
}

// setLength sets the offence number and the end of a ban by the history of its prefix.
func (r *Replay) setLength(j *Jail, b *record, ladder []time.Duration) {
	b.offence = 1 + r.offences(j, b)
	b.until = never
	if t := jail.Capped(ladder, int(b.offence), j.Length(int(b.offence), b.prefix())); t != jail.Permanent {
		b.until = b.at + t.Microseconds()
	}
}

// offences returns how often the prefix was banned before, in this jail or in all.
func (r *Replay) offences(j *Jail, b *record) (n int32) {
	k := b.key
	for _, other := range r.rules.Jails {
		if other != j && !j.Overall {
			continue
		}
		k.jail = other.number
		if p, ok := r.bench.past[k]; ok && b.at-p.last <= j.Remember.Microseconds() {
			n += p.offences
		}
	}
	return n
}

// ban makes a ban, extends the one that stands, and bans the group around it if that is due. A ban that would be over already is not made, and
// only of those that are made the reason is asked for.
func (r *Replay) ban(j *Jail, b record, reason func() string) {
	if b.until <= micro(r.now) {
		return
	}
	b.reason = r.bench.reason(reason)
	if stands := r.bench.get(b.key); stands != nil {
		b.until = max(b.until, stands.until)
	}
	r.put(b)
	if j.Aggregator == nil {
		return
	}
	if w, ok := j.Aggregator.Add(b.prefix()); ok {
		r.widen(j, w, b)
	}
}

func (r *Replay) put(b record) {
	b.silent = r.silent
	r.bench.put(b)
}

// widen bans the wider prefix for as long as the longest ban that it replaces, and then lifts those.
func (r *Replay) widen(j *Jail, w jail.Wider, last record) {
	wide := last
	wide.key, wide.attempts, wide.offence, wide.origin = keyOf(last.jail, w.Prefix), 0, last.offence, group
	wide.reason = r.bench.reason(func() string { return fmt.Sprintf("prefix: stands for %s in it", human.Count(w.Count, "bans")) })
	var covered []key
	for _, p := range w.Members {
		k := keyOf(last.jail, p)
		if b := r.bench.get(k); b != nil {
			wide.until = max(wide.until, b.until)
			wide.attempts += b.attempts
			covered = append(covered, k)
		}
	}
	if old := r.bench.get(wide.key); old != nil {
		wide.until = max(wide.until, old.until)
	}
	r.put(wide)
	for _, k := range covered {
		r.bench.lift(k)
		j.Aggregator.Remove(k.prefix())
	}
}

// applyRecidive bans an address from everywhere if it is banned again and again. The ban of a group is no offence of an address.
func (r *Replay) applyRecidive(j *Jail, b record) {
	if r.rules.Recidive == nil || b.prefix().Bits() < j.Unit(b.prefix().Addr()).Bits() {
		return
	}
	v, ok := r.rules.Recidivists.Observe(b.prefix(), time.UnixMicro(b.at))
	if !ok {
		return
	}
	again := record{
		key: b.key, at: b.at, until: never, attempts: int32(v.Failures), offence: 1, origin: recidive,
	}
	again.jail = r.rules.Recidive.number
	if v.Duration != jail.Permanent {
		again.until = again.at + v.Duration.Microseconds()
	}
	if r.protects(v.Prefix) {
		r.protect()
		return
	}
	r.ban(r.rules.Recidive, again, v.Reason.String)
}

// protects reports whether a jail never bans somebody in the prefix.
func (r *Replay) protects(p netip.Prefix) bool {
	for _, j := range r.rules.Jails {
		if _, ok := j.Allowed(p.Addr(), r.now); ok {
			return true
		}
		if _, ok := j.Touches(p, r.now); ok {
			return true
		}
	}
	return false
}

// expire lifts the bans whose time is over.
func (r *Replay) expire(now time.Time) {
	for {
		k, ok := r.bench.over(micro(now))
		if !ok {
			return
		}
		j := r.rules.Jails[k.jail]
		j.Release(k.prefix())
		if j.Aggregator != nil {
			j.Aggregator.Remove(k.prefix())
		}
	}
}
