package jail

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// Aggregate says when the prefix around many banned addresses replaces them.
type Aggregate struct {
	IPv4 int // banned addresses of a /24 that ban the /24; 0: never
	IPv6 int // banned /64 of a /56 or /48 that ban the wider one; a banned /56 counts as one in its /48; 0: never
}

// Aggregator watches the prefixes banned in one jail and says when a wider one takes their place, at most a /24 or a /48.
// A ban costs two trie entries, and a look at as many others as make a wider one.
type Aggregator struct {
	cfg       Aggregate
	strangers *Strangers
	allowed   func(netip.Prefix) bool
	banned    bart.Table[int] // with the number of addresses or /64 that each stands for
	units     bart.Table[int] // what counts as one, with the number of bans in it: addresses of a /64 are one
}

// Wider is a prefix that replaces others.
type Wider struct {
	Prefix  netip.Prefix
	Members []netip.Prefix // that it replaces, in order
	Count   int            // bans that it stands for
}

// NewAggregator returns one without bans. allowed reports whether a prefix holds an address that must not be banned. Such a
// prefix never replaces others, and neither does one that holds strangers.
func NewAggregator(cfg Aggregate, strangers *Strangers, allowed func(netip.Prefix) bool) *Aggregator {
	return &Aggregator{cfg: cfg, strangers: strangers, allowed: allowed}
}

// Add says that p is banned now. If that makes a wider ban, the aggregator counts its members as lifted and it as added:
// the caller bans the one and lifts the others.
func (g *Aggregator) Add(p netip.Prefix) (Wider, bool) {
	if g.need(p) == 0 {
		return Wider{}, false // nothing to remember
	}
	g.add(p, 1)
	for _, wide := range g.around(p) {
		if !g.ripe(wide) || g.spared(wide) {
			continue
		}
		w := Wider{Prefix: wide}
		for m, count := range g.banned.Subnets(wide) {
			w.Members = append(w.Members, m)
			w.Count += count
		}
		for _, m := range w.Members {
			g.Remove(m)
		}
		g.add(wide, w.Count)
		return w, true
	}
	return Wider{}, false
}

// spared reports whether a ban of wide would hit somebody who must not be banned.
func (g *Aggregator) spared(wide netip.Prefix) bool {
	_, strange := g.strangers.Touches(wide)
	return strange || g.allowed(wide)
}

// Remove says that p is no longer banned.
func (g *Aggregator) Remove(p netip.Prefix) {
	if _, ok := g.banned.Get(p); !ok {
		return
	}
	g.banned.Delete(p)
	unit := g.unit(p)
	if n, _ := g.units.Get(unit); n > 1 {
		g.units.Insert(unit, n-1)
	} else {
		g.units.Delete(unit)
	}
}

// RemoveAll says that nothing is banned any longer.
func (g *Aggregator) RemoveAll() { g.banned, g.units = bart.Table[int]{}, bart.Table[int]{} }

func (g *Aggregator) add(p netip.Prefix, count int) {
	if _, ok := g.banned.Get(p); !ok {
		n, _ := g.units.Get(g.unit(p))
		g.units.Insert(g.unit(p), n+1)
	}
	g.banned.Insert(p, count)
}

// ripe reports whether enough is banned in wide.
func (g *Aggregator) ripe(wide netip.Prefix) bool {
	n := 0
	for range g.units.Subnets(wide) {
		if n++; n >= g.need(wide) {
			return true
		}
	}
	return false
}

// around are the prefixes that may replace p, the narrowest first.
func (g *Aggregator) around(p netip.Prefix) []netip.Prefix {
	lengths := []int{56, 48}
	if p.Addr().Is4() {
		lengths = []int{24}
	}
	var wide []netip.Prefix
	for _, bits := range lengths {
		if g.need(p) > 0 && bits < p.Bits() {
			wide = append(wide, netip.PrefixFrom(p.Addr(), bits).Masked())
		}
	}
	return wide
}

func (g *Aggregator) need(p netip.Prefix) int {
	if p.Addr().Is4() {
		return g.cfg.IPv4
	}
	return g.cfg.IPv6
}

// unit is what p counts as: an IPv6 address counts as its /64, unless it is a stranger's.
func (g *Aggregator) unit(p netip.Prefix) netip.Prefix {
	if p.Addr().Is6() && p.Bits() > 64 {
		return g.strangers.Unit(p.Addr(), 32, 64)
	}
	return p
}
