package jail

import (
	"net/netip"
	"time"
)

// wides are the networks in which addresses were banned. Three banned addresses of a /24 make it a ban of the /24. In
// IPv6 three /64 make it one of the /56 or, in several of those, of the /48 around them; a banned /56 is one of its /48.
type wides struct {
	banned *recent[netip.Prefix, crowd]
	offences[netip.Prefix]
}

func newWides(n int) wides {
	return wides{newRecent[netip.Prefix, crowd](n), offences[netip.Prefix]{newRecent[netip.Prefix, offence](n)}}
}

// around are the networks that may be banned because of an address, the narrowest first.
func around(a netip.Addr) []netip.Prefix {
	if a.Is4() {
		return []netip.Prefix{netip.PrefixFrom(a, 24).Masked()}
	}
	return []netip.Prefix{netip.PrefixFrom(a, 56).Masked(), netip.PrefixFrom(a, 48).Masked()}
}

// ban notes that the address was banned and returns the widest network in which at least need were within span, with
// their number. A banned network is one of the network around it.
func (w *wides) ban(a netip.Addr, at stamp, need int, span time.Duration) (wide netip.Prefix, n int) {
	inside, id := netip.PrefixFrom(a, a.BitLen()), hostOf(a)
	for _, p := range around(a) {
		c := w.banned.touch(p, int64(at))
		c.drop(func(x netID) bool { return inside.Contains(x.addr()) })
		c.see(id, at)
		if hosts := c.countTo(at, span); hosts >= need {
			wide, n = p, hosts
			inside, id = p, netIDOf(p.Addr(), 24, p.Bits())
		}
	}
	return wide, n
}

// countTo is like count, but the end of the span is inside.
func (c *crowd) countTo(at stamp, span time.Duration) int { return c.count(at, span+time.Second) }

// count is how many addresses of p were banned within span.
func (w *wides) count(p netip.Prefix, at stamp, span time.Duration) int {
	c := w.banned.get(p)
	if c == nil {
		return 0
	}
	return c.countTo(at, span)
}

// forgetAll drops what was noted of the addresses in p.
func (w *wides) forgetAll(p netip.Prefix) {
	for node := range w.banned.all {
		if !p.Overlaps(node.key) {
			continue
		}
		node.value.drop(func(x netID) bool { return p.Contains(x.addr()) })
		if node.value.n == 0 || p.Bits() <= node.key.Bits() {
			w.banned.delete(node.key)
		}
	}
	for node := range w.offences.all {
		if p.Overlaps(node.key) {
			w.offences.delete(node.key)
		}
	}
}
