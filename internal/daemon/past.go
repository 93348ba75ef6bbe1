package daemon

import (
	"container/heap"
	"net/netip"
	"time"

	"github.com/google/btree"

	"exile/internal/state"
)

// Offenders are remembered after their ban has ended: the next ban is longer, and what led to a ban does not count again. They are forgotten
// after Plan.PurgeAge, or earlier when there are too many of them.

const (
	purgeEvery = time.Hour
	keepPast   = 100_000 // of addresses that are not banned: 20 MB
	// purgeStep is how many are forgotten in one turn of the loop at most.
	purgeStep = 2 * roundStep
)

// pasts are the pasts of all addresses, in order of jail and prefix. Those of addresses that are not banned are also in the order in which
// they are forgotten.
type pasts struct {
	all   *btree.BTreeG[*record]
	idle  idle
	probe record // for look-ups; nothing keeps it
}

// record is the past of an address.
type record struct {
	place
	last, cleared stamp
	offences      int32
	idle          int32 // its place in the heap of those that are not banned; -1: it is banned
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

// get returns the past of an address, or the zero Past.
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

// clear pardons the attempts of an address up to then, if it has a past, and returns the new past.
func (p *pasts) clear(who state.Who, then time.Time) (past state.Past, known bool) {
	r, ok := p.find(who)
	if !ok {
		return state.Past{}, false
	}
	r.cleared = stampOf(then)
	p.idle.note(r, r.idle < 0)
	return r.past(), true
}

// note notes that an address that has a past is banned now, or is not any more.
func (p *pasts) note(who state.Who, banned bool) {
	if r, ok := p.find(who); ok {
		p.idle.note(r, banned)
	}
}

// leave notes that an address is not banned any more, and forgets its past if that is older than a time.
func (p *pasts) leave(at place, before stamp) {
	p.probe.place = at
	r, ok := p.all.Get(&p.probe)
	switch {
	case !ok:
	case r.idle < 0 && r.latest() < before:
		p.all.Delete(r)
	default:
		p.idle.note(r, false)
	}
}

// forget drops the oldest past of an address that is not banned, if it is older than then or if there are more than keep of them.
func (p *pasts) forget(then time.Time, keep int) (state.Who, bool) {
	if len(p.idle) == 0 || len(p.idle) <= keep && p.idle[0].latest() >= stampOf(then) {
		return state.Who{}, false
	}
	oldest := heap.Pop(&p.idle).(*record)
	p.all.Delete(oldest)
	return oldest.who(), true
}

// every calls f for all pasts of a jail, or of all jails (""). f must not change p.
func (p *pasts) every(jail string, f func(state.Who, state.Past)) {
	p.all.AscendGreaterOrEqual(&record{place: place{jail: jail}}, func(r *record) bool {
		if jail != "" && r.jail != jail {
			return false
		}
		f(r.who(), r.past())
		return true
	})
}

// within returns the other prefixes in a prefix that were banned before.
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

// idle is a heap of the pasts of addresses that are not banned; the first is forgotten next.
type idle []*record

// note moves a record that has changed to its place.
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
