package replay

import "net/netip"

// This file finds whom one side of a comparison has banned and the other never: most differences are only about when.

// banned are the addresses that a side has banned, in jails by their names.
type banned struct {
	units map[unit]bool
	wide  map[int]bool // the lengths of prefixes that hold more than an address of one owner
}

// unit is an address in IPv4, a network of 64 bits in IPv6, or more.
type unit struct {
	jail   string
	prefix netip.Prefix
}

// unitOf returns what a ban bans, at least the unit that is around its address, and whether it is wider than that.
func (r *Replay) unitOf(b *record) (u unit, wide bool) {
	p := b.prefix()
	bits := unitBits(p.Addr())
	wide = p.Bits() < bits
	return unit{r.rules.Jails[b.jail].Name, netip.PrefixFrom(p.Addr(), min(bits, p.Bits())).Masked()}, wide
}

func unitBits(a netip.Addr) int {
	if a.Is4() {
		return 32
	}
	return 64
}

func (r *Replay) banned() banned {
	all := banned{make(map[unit]bool), make(map[int]bool)}
	for n := range r.bench.len() {
		u, wide := r.unitOf(r.bench.at(uint32(n)))
		all.units[u] = true
		if wide {
			all.wide[u.prefix.Bits()] = true
		}
	}
	return all
}

// has reports whether a unit was banned, by itself or with others.
func (b *banned) has(u unit) bool {
	if b.units[u] {
		return true
	}
	for bits := range b.wide {
		if p, err := u.prefix.Addr().Prefix(bits); err == nil && b.units[unit{u.jail, p}] {
			return true
		}
	}
	return false
}

// Only returns how many addresses only the first side has banned, and how many only the other, and marks them in the differences. Whom the rule
// about repeat offenders bans was banned before, and is counted for that.
func (c *Comparison) Only() (here, there int) {
	var only [2]map[unit]bool
	for i, side := range c.sides {
		others := c.sides[1-i].banned()
		only[i] = make(map[unit]bool)
		for n := range side.bench.len() {
			b := side.bench.at(uint32(n))
			if u, wide := side.unitOf(b); !b.silent && !wide && b.origin != recidive && !others.has(u) {
				only[i][u] = true
			}
		}
	}
	for n := range c.list {
		d := &c.list[n]
		d.Only = only[d.side()][d.unit]
	}
	return len(only[0]), len(only[1])
}

func (d *Difference) side() int {
	if d.Here {
		return 0
	}
	return 1
}
