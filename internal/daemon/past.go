package daemon

import (
	"container/heap"
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
	all   *btree.BTreeG[*record]
	idle  idle
	probe record // to look for; nobody keeps it
}

// record is the past of somebody.
type record struct {
	place
	last, cleared stamp
	offences      int32
	idle          int32 // its place among those who are not banned; -1: it is banned
	welcome       bool
}

func newPasts() pasts { return pasts{all: btree.NewG(32, lessRecord)} }

func lessRecord(a, b *record) bool { return a.compare(&b.place) < 0 }

func (r *record) past() state.Past {
	return state.Past{Offences: int(r.offences), Last: r.last.time(), Cleared: r.cleared.time(), Welcome: r.welcome}
}

func (r *record) latest() stamp { return max(r.last, r.cleared) }

func (p *pasts) find(who state.Who) (*record, bool) {
	p.probe.place = placeOf(who.Jail, who.Prefix)
	return p.all.Get(&p.probe)
}

// get returns what is known of somebody; nothing is the zero Past.
func (p *pasts) get(who state.Who) state.Past {
	if r, ok := p.find(who); ok {
		return r.past()
	}
	return state.Past{}
}

func (p *pasts) put(who state.Who, past state.Past, banned bool) {
	r, ok := p.find(who)
	if !ok {
		r = &record{place: placeOf(who.Jail, who.Prefix).keep(), idle: -1}
		p.all.ReplaceOrInsert(r)
	}
	r.last, r.cleared = stampOf(past.Last), stampOf(past.Cleared)
	r.offences, r.welcome = clamp(past.Offences), past.Welcome
	p.idle.note(r, banned)
}

// clear notes that the attempts of somebody of whom something is known have had their consequences up to then, and returns
// what is known now.
func (p *pasts) clear(who state.Who, then time.Time) (past state.Past, known bool) {
	r, ok := p.find(who)
	if !ok {
		return state.Past{}, false
	}
	r.cleared = stampOf(then)
	p.idle.note(r, r.idle < 0)
	return r.past(), true
}

// note notes that somebody of whom something is known is banned now, or is not any more.
func (p *pasts) note(who state.Who, banned bool) {
	if r, ok := p.find(who); ok {
		p.idle.note(r, banned)
	}
}

// forget drops the one of those who are not banned whose last ban or pardon was longest ago, if that was before then or if
// there are more than keep of them.
func (p *pasts) forget(then time.Time, keep int) (state.Who, bool) {
	if len(p.idle) == 0 || len(p.idle) <= keep && p.idle[0].latest() >= stampOf(then) {
		return state.Who{}, false
	}
	oldest := heap.Pop(&p.idle).(*record)
	p.all.Delete(oldest)
	return oldest.who(), true
}

// every calls f for everybody of a jail, or of all jails (""). f must not change p.
func (p *pasts) every(jail string, f func(state.Who, state.Past)) {
	p.all.AscendGreaterOrEqual(&record{place: place{jail: jail}}, func(r *record) bool {
		if jail != "" && r.jail != jail {
			return false
		}
		f(r.who(), r.past())
		return true
	})
}

// within returns the others in somebody's prefix who were banned before.
func (p *pasts) within(who state.Who) map[netip.Prefix]bool {
	offenders := make(map[netip.Prefix]bool)
	p.all.AscendGreaterOrEqual(&record{place: placeOf(who.Jail, who.Prefix)}, func(r *record) bool {
		other := r.prefix()
		if r.jail != who.Jail || !who.Prefix.Contains(other.Addr()) {
			return false
		}
		if other != who.Prefix && r.offences > 0 {
			offenders[other] = true
		}
		return true
	})
	return offenders
}

// idle is a heap of those who are not banned, the one to be forgotten next first.
type idle []*record

// note sees to it that a record of which something has changed is where it belongs.
func (h *idle) note(r *record, banned bool) {
	switch {
	case banned && r.idle >= 0:
		heap.Remove(h, int(r.idle))
	case !banned && r.idle < 0:
		heap.Push(h, r)
	case !banned:
		heap.Fix(h, int(r.idle))
	}
}

func (h idle) Len() int { return len(h) }

func (h idle) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.latest() == b.latest() {
		return a.compare(&b.place) < 0
	}
	return a.latest() < b.latest()
}

func (h idle) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].idle, h[j].idle = int32(i), int32(j)
}

// Push implements heap.Interface.
func (h *idle) Push(x any) {
	added := x.(*record)
	added.idle = int32(len(*h))
	*h = append(*h, added)
}

// Pop implements heap.Interface.
func (h *idle) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	last.idle = -1
	return last
}

// remember keeps what is known of somebody's past.
func (d *Daemon) remember(who state.Who, past state.Past) {
	_, banned := d.bans.get(who.Jail, who.Prefix)
	d.past.put(who, past, banned)
	d.pending.batch.Past[who] = past
	d.pending.urgent = true
}

// restorePast takes over what was known, when the bans are known.
func (d *Daemon) restorePast(known map[state.Who]state.Past) {
	for who, past := range known {
		_, banned := d.bans.get(who.Jail, who.Prefix)
		d.past.put(who, past, banned)
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
