package jail

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

// wides are the networks in which addresses were banned. Three banned addresses of a /24 make it a ban of the /24. In
// IPv6 three /64 make it one of the /56 or, in several of those, of the /48 around them; a banned /56 is one of its /48.
type wides struct {
	banned *recent[wideID, members]
	offences[wideID]
}

// newWides returns one that remembers up to n banned networks, and the networks around twice as many banned addresses.
func newWides(n int) wides {
	return wides{newRecent[wideID, members](2 * n), offences[wideID]{newRecent[wideID, offence](n)}}
}

// widen appends the ban of the network when enough of its addresses were banned and nobody ever logged in from it.
func (d *AdaptiveDetector) widen(a *Attempt, p *place, at stamp, attempts int, out []Verdict) []Verdict {
	if d.cfg.PrefixHosts == 0 {
		return out
	}
	wide, hosts := d.wides.ban(p.id, p.around, at, d.cfg.PrefixHosts, d.cfg.PrefixTime)
	if hosts == 0 || d.known.ever(p.net, p.region) {
		return out
	}
	v := d.banWide(wide, a.Time, Reason{Kind: ByPrefix, Count: hosts, Span: d.cfg.PrefixTime})
	v.Failures = attempts
	return append(out, v)
}

// banWide is the next ban of a network, for a reason that lacks only the offence. What points it had count no more.
func (d *AdaptiveDetector) banWide(wide wideID, at time.Time, why Reason) Verdict {
	d.forgetTallies(wide.prefix())
	o := d.wides.next(wide, stampOf(at), d.cfg.Remember)
	n := int(o.count)
	t := d.step(d.cfg.PrefixLadder, n)
	o.until = stampOf(at.Add(t))
	why.Offence, why.Step = n, min(n, len(d.cfg.PrefixLadder))
	return Verdict{Prefix: wide.prefix(), Duration: t, Offence: n, Reason: why}
}

// wideID is a netID of an IPv4 /24 or an IPv6 /56 or /48 with that length in its last byte, which is free. 0 is none.
type wideID uint64

func wideIDOf(p netip.Prefix) wideID { return wideID(netIDOf(p)) | wideID(p.Bits()) }

// wideOf returns the number of a network, if it can be one of those.
func wideOf(p netip.Prefix) (wideID, bool) {
	a, bits := p.Addr(), p.Bits()
	if a.Is4() && bits != 24 || a.Is6() && bits != 56 && bits != 48 || !counted(a) || p != p.Masked() {
		return 0, false
	}
	return wideIDOf(p), true
}

func (w wideID) bits() int { return int(w & math.MaxUint8) }

// net is the network without its length.
func (w wideID) net() netID { return netID(w &^ math.MaxUint8) }

func (w wideID) prefix() netip.Prefix { return netip.PrefixFrom(w.net().addr(), w.bits()) }

// holds reports whether n, an address or a network, lies in w.
func (w wideID) holds(n netID) bool {
	if w.net().is4() {
		return n&^math.MaxUint8 == w.net()
	}
	return n&^(math.MaxUint64>>w.bits()) == w.net()
}

// around are the networks around an address, the narrowest first, and 0 where there is no other.
func around(a netip.Addr) (wide [2]wideID) {
	lengths := [...]int{56, 48}
	if a.Is4() {
		lengths = [...]int{24, 0}
	}
	for i, bits := range lengths {
		if p, err := a.Prefix(bits); err == nil && bits > 0 {
			wide[i] = wideIDOf(p)
		}
	}
	return wide
}

// around are the networks that may be banned because of an address: none because of a stranger's.
func (d *AdaptiveDetector) around(a netip.Addr) [2]wideID {
	if d.cfg.Strangers.Hold(a) {
		return [2]wideID{}
	}
	return around(a)
}

// ban notes that a host was banned, with the networks around it, and returns the widest network in which at least need were within span, with
// their number. A banned network is one of the network around it.
func (w *wides) ban(id netID, around [2]wideID, at stamp, need int, span time.Duration) (wide wideID, n int) {
	var inside wideID // what id stands for, if it is not the address
	for _, p := range around {
		if p == 0 {
			break
		}
		c := w.banned.touch(p, int64(at))
		if inside != 0 {
			c.drop(p, inside.holds)
		}
		c.see(id, at)
		if hosts := c.count(at, span); hosts >= need {
			wide, n = p, hosts
			inside, id = p, p.net()
		}
	}
	return wide, n
}

// members are which addresses of a network, or networks in it, were banned lately, and when.
type members struct {
	at [maxCrowd]stamp
	id [maxCrowd]uint16 // the end of the netID: the network has the rest
	n  uint8
}

// see notes a member, in place of the one not seen for longest when there are too many.
func (m *members) see(member netID, at stamp) {
	id := uint16(member)
	i := slices.Index(m.id[:m.n], id)
	switch {
	case i >= 0:
	case m.n < maxCrowd:
		i = int(m.n)
		m.n++
	default:
		i = slices.Index(m.at[:], slices.Min(m.at[:]))
	}
	m.id[i], m.at[i] = id, at
}

// of returns the i-th member of the network p.
func (m *members) of(p wideID, i int) netID { return p.net()&^math.MaxUint16 | netID(m.id[i]) }

// count is how many of them were banned at most span before at.
func (m *members) count(at stamp, span time.Duration) int {
	count := 0
	for _, banned := range m.at[:m.n] {
		if at.near(banned, span) {
			count++
		}
	}
	return count
}

// drop removes the members of the network p that remove says.
func (m *members) drop(p wideID, remove func(netID) bool) {
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
	c := w.banned.get(p)
	if c == nil {
		return 0
	}
	return c.count(at, span)
}

// forgetAll drops what was noted of the addresses in p.
func (w *wides) forgetAll(p netip.Prefix) {
	for wide := range widesIn(w.banned, p) {
		c := w.banned.get(wide)
		c.drop(wide, func(x netID) bool { return p.Contains(x.addr()) })
		if c.n == 0 || p.Bits() <= wide.bits() {
			w.banned.delete(wide)
		}
	}
	for wide := range widesIn(w.offences.recent, p) {
		w.offences.delete(wide)
	}
}
