package daemon

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/google/btree"

	"exile/internal/control"
	"exile/internal/state"
)

// Offenders are remembered when their ban has ended: the next one is longer, and what banned them does not count again.
// That ends after Plan.PurgeAge; an attacker with many addresses sees to it that it ends earlier.

const (
	purgeEvery = time.Hour
	keepPast   = 100_000 // who are not banned: 20 MB
	// purgeStep is how many are forgotten in one turn of the loop.
	purgeStep = 2 * roundStep
)

// pasts are what is remembered, in order of (jail, prefix), and those who are not banned also in the order in which they
// are forgotten.
type pasts struct {
	all  *btree.BTreeG[*record]
	idle *btree.BTreeG[*record]
}

// record is the past of somebody. While it is in a tree it does not change.
type record struct {
	who state.Who
	state.Past
	banned bool
}

func newPasts() pasts {
	return pasts{all: btree.NewG(32, lessWho), idle: btree.NewG(32, forgottenBefore)}
}

func compareWho(a, b state.Who) int {
	return cmp.Or(cmp.Compare(a.Jail, b.Jail), a.Prefix.Compare(b.Prefix))
}

func lessWho(a, b *record) bool { return compareWho(a.who, b.who) < 0 }

func forgottenBefore(a, b *record) bool {
	return cmp.Or(a.Latest().Compare(b.Latest()), compareWho(a.who, b.who)) < 0
}

// get returns what is known of somebody; nothing is the zero Past.
func (p *pasts) get(who state.Who) state.Past {
	if r, ok := p.all.Get(&record{who: who}); ok {
		return r.Past
	}
	return state.Past{}
}

func (p *pasts) put(r *record) {
	if old, ok := p.all.ReplaceOrInsert(r); ok && !old.banned {
		p.idle.Delete(old)
	}
	if !r.banned {
		p.idle.ReplaceOrInsert(r)
	}
}

// note notes that somebody of whom something is known is banned now, or is not any more.
func (p *pasts) note(who state.Who, banned bool) {
	if r, ok := p.all.Get(&record{who: who}); ok && r.banned != banned {
		p.put(&record{who, r.Past, banned})
	}
}

// forget drops the one of those who are not banned whose last ban or pardon was longest ago, if that was before then or if
// there are more than keep of them.
func (p *pasts) forget(then time.Time, keep int) (state.Who, bool) {
	oldest, ok := p.idle.Min()
	if !ok || p.idle.Len() <= keep && !oldest.Latest().Before(then) {
		return state.Who{}, false
	}
	p.idle.Delete(oldest)
	p.all.Delete(oldest)
	return oldest.who, true
}

// every calls f for everybody of a jail, or of all jails (""). f must not change p.
func (p *pasts) every(jail string, f func(state.Who, state.Past)) {
	p.all.AscendGreaterOrEqual(&record{who: state.Who{Jail: jail}}, func(r *record) bool {
		if jail != "" && r.who.Jail != jail {
			return false
		}
		f(r.who, r.Past)
		return true
	})
}

// within returns the others in somebody's prefix who were banned before.
func (p *pasts) within(who state.Who) map[netip.Prefix]bool {
	offenders := make(map[netip.Prefix]bool)
	p.all.AscendGreaterOrEqual(&record{who: who}, func(r *record) bool {
		if r.who.Jail != who.Jail || !who.Prefix.Contains(r.who.Prefix.Addr()) {
			return false
		}
		if r.who != who && r.Offences > 0 {
			offenders[r.who.Prefix] = true
		}
		return true
	})
	return offenders
}

// remember keeps what is known of somebody's past.
func (d *Daemon) remember(who state.Who, past state.Past) {
	_, banned := d.bans.get(who.Jail, who.Prefix)
	d.past.put(&record{who, past, banned})
	d.pending.batch.Past[who] = past
	d.pending.urgent = true
}

// restorePast takes over what was known, when the bans are known.
func (d *Daemon) restorePast(known map[state.Who]state.Past) {
	for who, past := range known {
		_, banned := d.bans.get(who.Jail, who.Prefix)
		d.past.put(&record{who, past, banned})
	}
}

// knownPast is all that is remembered.
func (d *Daemon) knownPast() map[state.Who]state.Past {
	known := make(map[state.Who]state.Past, d.past.all.Len())
	d.past.every("", func(who state.Who, past state.Past) { known[who] = past })
	return known
}

// offences is how often the prefix was banned before, in this jail or in all.
func (d *Daemon) offences(j *Jail, b control.Ban) int {
	n := 0
	for _, other := range d.plan.Jails {
		if other != j && !j.Overall {
			continue
		}
		past := d.past.get(state.Who{Jail: other.Info.Name, Prefix: b.Prefix})
		if b.Since.Sub(past.Last) <= j.Remember {
			n += past.Offences
		}
	}
	return n
}

// forgetPast forgets some of the past that no longer counts. The disk forgets it with what is written next.
func (d *Daemon) forgetPast(now time.Time) {
	then := d.outdated(now)
	for range purgeStep {
		who, ok := d.past.forget(then, keepPast)
		if !ok {
			return
		}
		d.pending.batch.Past[who] = state.Past{}
		d.pending.move()
	}
}

// outdated is up to when the past does not count any more; zero: all of it does.
func (d *Daemon) outdated(now time.Time) time.Time {
	if d.plan.PurgeAge <= 0 {
		return time.Time{}
	}
	return now.Add(-d.plan.PurgeAge)
}

// purge returns what has the disk forget the repeats that no longer count, now and then.
func (d *Daemon) purge(now time.Time) func() error {
	if now.Sub(d.purged) < purgeEvery {
		return func() error { return nil }
	}
	d.purged = now
	then := d.outdated(now)
	return func() error { return d.cfg.Store.Purge(then) }
}
