package jail

import (
	"math"
	"net/netip"
	"time"
)

// wides are the networks in which addresses were banned. Three banned addresses of a /24 make it a ban of the /24. In
// IPv6 three /64 make it one of the /56 or, in several of those, of the /48 around them; a banned /56 is one of its /48.
type wides struct {
	banned *recent[wideID, crowd]
	offences[wideID]
}

func newWides(n int) wides {
	return wides{newRecent[wideID, crowd](n), offences[wideID]{newRecent[wideID, offence](n)}}
}

// wideID is a netID of an IPv4 /24 or an IPv6 /56 or /48 with that length in its last byte, which is free. 0 is none.
type wideID uint64

func wideIDOf(a netip.Addr, bits int) wideID { return wideID(netIDOf(a, 24, bits)) | wideID(bits) }

// wideOf returns the number of a network, if it can be one of those.
func wideOf(p netip.Prefix) (wideID, bool) {
	a, bits := p.Addr(), p.Bits()
	if a.Is4() && bits != 24 || a.Is6() && bits != 56 && bits != 48 || !counted(a) || p != p.Masked() {
		return 0, false
	}
	return wideIDOf(a, bits), true
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

// around are the networks that may be banned because of an address, the narrowest first, and 0 where there is no other.
func around(a netip.Addr) [2]wideID {
	if a.Is4() {
		return [2]wideID{wideIDOf(a, 24)}
	}
	return [2]wideID{wideIDOf(a, 56), wideIDOf(a, 48)}
}

// ban notes that the address was banned and returns the widest network in which at least need were within span, with
// their number. A banned network is one of the network around it.
func (w *wides) ban(a netip.Addr, at stamp, need int, span time.Duration) (wide wideID, n int) {
	id := hostOf(a)
	var inside wideID // what id stands for, if it is not the address
	for _, p := range around(a) {
		if p == 0 {
			break
		}
		c := w.banned.touch(p, int64(at))
		if inside != 0 {
			c.drop(inside.holds)
		}
		c.see(id, at)
		if hosts := c.countTo(at, span); hosts >= need {
			wide, n = p, hosts
			inside, id = p, p.net()
		}
	}
	return wide, n
}

// countTo is like count, but the end of the span is inside.
func (c *crowd) countTo(at stamp, span time.Duration) int { return c.count(at, span+time.Second) }

// count is how many addresses of p were banned within span.
func (w *wides) count(p wideID, at stamp, span time.Duration) int {
	c := w.banned.get(p)
	if c == nil {
		return 0
	}
	return c.countTo(at, span)
}

// forgetAll drops what was noted of the addresses in p.
func (w *wides) forgetAll(p netip.Prefix) {
	for node := range w.banned.all {
		if !p.Overlaps(node.key.prefix()) {
			continue
		}
		node.value.drop(func(x netID) bool { return p.Contains(x.addr()) })
		if node.value.n == 0 || p.Bits() <= node.key.bits() {
			w.banned.delete(node.key)
		}
	}
	for node := range w.offences.all {
		if p.Overlaps(node.key.prefix()) {
			w.offences.delete(node.key)
		}
	}
}
