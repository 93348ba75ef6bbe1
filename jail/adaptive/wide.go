package adaptive

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"exile/jail"
	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
)

// wides are the networks in which addresses were banned. Three banned addresses of a /24 ban the /24. In IPv6, three
// banned /64 ban the /56 around them or, if they are in several, the /48; a banned /56 counts as one in its /48.
type wides struct {
	banned *bounded.Store[wideID, members]
	offences[wideID]
}

// newWides returns a memory of n banned networks, and of the networks around twice as many banned addresses.
func newWides(n int) wides {
	return wides{
		bounded.New[wideID, members](2*n, bounded.HashNumber[wideID]()),
		offences[wideID]{bounded.New[wideID, offence](n, bounded.HashNumber[wideID]())},
	}
}

// widen appends the ban of the network if enough of its addresses were banned and nobody ever logged in from it.
func (d *Detector) widen(a *jail.Attempt, p *place, at stamp, e *evidence, out []jail.Verdict) []jail.Verdict {
	if d.cfg.PrefixHosts == 0 {
		return out
	}
	wide, hosts := d.wides.ban(p.id, p.around, at, d.cfg.PrefixHosts, d.cfg.PrefixTime)
	if hosts == 0 || e.ever {
		return out
	}
	v := d.banWide(wide, a.Time, reason{kind: byPrefix, count: uint8(hosts), span: d.cfg.PrefixTime})
	v.Failures = e.attempts
	return append(out, v)
}

// banWide is the next ban of a network, for a reason that lacks only the offence. The points of the network are dropped.
func (d *Detector) banWide(wide wideID, at time.Time, why reason) jail.Verdict {
	d.forgetTallies(wide.prefix())
	o := d.wides.next(wide, d.wides.Slot(wide), stampOf(at), d.cfg.Remember)
	n := int(o.count)
	t := d.step(d.cfg.PrefixLadder, n)
	o.until = stampOf(at.Add(t))
	why.offence, why.step = o.count, uint8(min(n, len(d.cfg.PrefixLadder), math.MaxUint8))
	return jail.Verdict{Prefix: wide.prefix(), Duration: t, Offence: n, Reason: jail.Reason{Own: d.reasons.keep(why)}, OfNetwork: true}
}

// ban notes that a host was banned, in the networks around it, and returns the widest of those in which at least need were
// banned within span, with their number. A banned network counts as one in the network around it.
func (w *wides) ban(id netkey.ID, around [2]wideID, at stamp, need int, span time.Duration) (wide wideID, n int) {
	var inside wideID // what id stands for, if it is not the address
	for _, p := range around {
		if p == 0 {
			break
		}
		m := w.banned.Touch(p, int64(at))
		if inside != 0 {
			m.drop(p, inside.holds)
		}
		m.see(id, at)
		if hosts := m.count(at, span); hosts >= need {
			wide, n = p, hosts
			inside, id = p, p.net()
		}
	}
	return wide, n
}

// members are which addresses of a network, or networks in it, were banned lately, and when.
type members struct {
	at [maxCounted]stamp
	id [maxCounted]uint16 // the end of the ID: the network has the rest
	n  uint8
}

// see notes a member. If there are too many, it takes the place of the one not seen for longest.
func (m *members) see(member netkey.ID, at stamp) {
	id := uint16(member)
	i := slices.Index(m.id[:m.n], id)
	switch {
	case i >= 0:
	case m.n < maxCounted:
		i = int(m.n)
		m.n++
	default:
		i = oldest(m.at[:])
	}
	m.id[i], m.at[i] = id, at
}

// of returns the i-th member of the network p.
func (m *members) of(p wideID, i int) netkey.ID { return p.net()&^0xffff | netkey.ID(m.id[i]) }

// count is how many members were banned at most span before at.
func (m *members) count(at stamp, span time.Duration) int {
	count := 0
	for _, banned := range m.at[:m.n] {
		if at.near(banned, span) {
			count++
		}
	}
	return count
}

// drop drops the members of the network p for which remove returns true.
func (m *members) drop(p wideID, remove func(netkey.ID) bool) {
	kept := members{}
	for i := range int(m.n) {
		if member := m.of(p, i); !remove(member) {
			kept.see(member, m.at[i])
		}
	}
	*m = kept
}

// count is how many addresses of p were banned within span.
func (w *wides) count(p wideID, at stamp, span time.Duration) int {
	m := w.banned.Get(p)
	if m == nil {
		return 0
	}
	return m.count(at, span)
}

// forgetAll drops what was noted of the addresses in p.
func (w *wides) forgetAll(p netip.Prefix) {
	for wide := range widesIn(w.banned, p) {
		m := w.banned.Get(wide)
		m.drop(wide, func(x netkey.ID) bool { return p.Contains(x.Addr()) })
		if m.n == 0 || p.Bits() <= wide.bits() {
			w.banned.Delete(wide)
		}
	}
	for wide := range widesIn(w.offences.Store, p) {
		w.offences.Delete(wide)
	}
}

// widesIn yields the networks in s that overlap p. The body may delete the one that it is given.
func widesIn[V any](s *bounded.Store[wideID, V], p netip.Prefix) func(yield func(wideID) bool) {
	return func(yield func(wideID) bool) {
		around := widesAround(netkey.IDOf(p.Addr()))
		if p.Bits() < around[0].bits() || !netkey.Counted(p.Addr()) {
			for e := range s.All {
				if p.Overlaps(e.Key.prefix()) && !yield(e.Key) {
					return
				}
			}
			return
		}
		for _, wide := range around {
			if wide != 0 && s.Get(wide) != nil && !yield(wide) {
				return
			}
		}
	}
}
