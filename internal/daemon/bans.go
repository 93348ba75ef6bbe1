package daemon

import (
	"net/netip"
	"strings"
	"time"

	"exile/internal/banning"
	"exile/internal/control"
	"exile/internal/state"
	"exile/jail"
)

// This file does what internal/banning says.

// rules are those of the plan, with the ledger as their book.
func (d *Daemon) rules() *banning.Rules {
	r := &banning.Rules{Recidivists: d.plan.Recidivists, Book: book{d}}
	for _, j := range d.plan.Jails {
		r.Jails = append(r.Jails, &j.Jail)
	}
	if d.plan.Recidive != nil {
		r.Recidive = &d.plan.Recidive.Jail
	}
	return r
}

// book is the ledger as the rules see it. It implements banning.Book.
type book struct{ *Daemon }

// Past implements banning.Book.
func (d book) Past(j *banning.Jail, p netip.Prefix) banning.Past {
	past := d.ledger.past.get(state.Who{Jail: j.Name, Prefix: p})
	return banning.Past{Offences: past.Offences, Last: past.Last, Cleared: past.Cleared, Pardoned: d.ledger.pardoned(j.Name)}
}

// Covering implements banning.Book.
func (d book) Covering(j *banning.Jail, p netip.Prefix) []control.Ban {
	return d.ledger.covering(j.Name, p)
}

// Do implements banning.Book.
func (d book) Do(s banning.Step) {
	switch s.Verb {
	case banning.Remember:
		d.ledger.remember(whoOf(s.Ban), state.Past{Offences: s.Ban.Offence, Last: s.Ban.Since, Cleared: s.Ban.Since})
	case banning.Put:
		d.putBan(d.plan.jail(s.Jail.Name), s.Ban)
	case banning.Cover:
		d.lift(s.Ban, covered)
	case banning.Count:
		d.ledger.repeat(d.plan.Recidivists.Counted(s.Ban.Prefix))
	case banning.Protect:
		d.spare(s.Ban, s.Why)
	}
}

// banOffender makes a ban for what an address did.
func (d *Daemon) banOffender(j *Jail, b control.Ban, ladder []time.Duration) {
	d.rules().Offend(&j.Jail, b, ladder, time.Now())
	d.makeRoom(4) // as many as addBan, for this ban and for one by the rule about repeat offenders
}

// addBan makes a ban, or extends the one that stands.
func (d *Daemon) addBan(j *Jail, b control.Ban) {
	d.rules().Add(&j.Jail, b, time.Now())
	d.makeRoom(2) // one for this ban, one to work off what a lower bound left over
}

// evidence is the entries behind a decision as text; a cursor is for journalctl --cursor.
func evidence(traces []jail.Trace) string {
	var b strings.Builder
	for i, t := range traces {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(t.Time.Format("2006-01-02T15:04:05.000000Z07:00") + " " + t.Rule + " " + t.Position.String())
	}
	return b.String()
}

// spare announces that an address was not banned.
func (d *Daemon) spare(b control.Ban, why string) {
	d.stats.protected++
	d.ledger.day(b.Since).Protected++
	d.ledger.sums(b.Jail, b.Since).Protected++
	d.ledger.later(control.Event{Kind: control.Protected, Time: time.Now(), Ban: b, Reason: why})
}

// putBan puts a ban into the table and on its way to the kernel, the disk and the world.
func (d *Daemon) putBan(j *Jail, b control.Ban) {
	told := b
	b.Evidence = "" // many bans are kept, and for long
	if old, ok := d.ledger.bans.get(b.Jail, b.Prefix); ok && old.Origin != b.Origin {
		d.kernel.touch(j.keys(&old)...) // it may have closed something else
	}
	d.ledger.put(b)
	d.kernel.touch(j.keys(&b)...)
	d.queueKill(j.keys(&b)...)
	d.stats.bans++
	d.ledger.day(b.Since).Bans++
	d.ledger.year.ban(&b)
	j.counters.ban(b.Origin)
	j.counters.lastBan = b.Since
	d.ledger.later(control.Event{Kind: control.BanNew, Time: time.Now(), Ban: told})
}

// covered is why a ban is lifted that a wider one has replaced.
const covered = "covered"

// lift takes a ban off, wherever it is.
func (d *Daemon) lift(b control.Ban, reason string) {
	if j := d.plan.jail(b.Jail); j != nil {
		d.kernel.touch(j.keys(&b)...)
		if reason == covered {
			j.Covered(b.Prefix)
		} else {
			j.Ended(b.Prefix)
		}
	}
	d.ledger.lift(b, reason)
	d.stats.unbans++
}
