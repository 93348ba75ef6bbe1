package replay

import "math"

// This file keeps what a grid remembers of the bans of one rule small: there are many rules.

// maxFew is how many bans can stand at a time, and how many offenders are remembered, with each rule of a grid.
const maxFew = 1 << 16

// record stores a ban, and returns its number.
func (b *bench) record(r record) uint32 {
	if b.few && !r.silent {
		b.count++
		b.fresh = append(b.fresh, r.key)
	}
	if n := len(b.free); n > 0 {
		number := b.free[n-1]
		b.free = b.free[:n-1]
		*b.at(number) = r
		return number
	}
	if n := len(b.made); n == 0 || len(b.made[n-1]) == chunk {
		b.made = append(b.made, make([]record, 0, chunk))
	}
	last := &b.made[len(b.made)-1]
	*last = append(*last, r)
	return uint32(b.len() - 1)
}

// release notes that a ban does not stand any more, and lets its record be used again.
func (b *bench) release(n uint32) {
	if b.at(n).from = lifted; b.few {
		b.free = append(b.free, n)
	}
}

// excess takes off the ban that ends first if there are too many.
func (b *bench) excess() (key, bool) {
	if !b.few || b.index.used <= maxFew {
		return key{}, false
	}
	b.over = true
	b.early++
	return b.expired(never - 1)
}

// past is what is remembered of an offender.
type past struct {
	last     int64 // the last ban's At
	offences int32
}

// pasts remember offenders, in two generations: when the younger one is full, it takes the place of the older.
type pasts struct {
	young, old map[key]past
	limit      int
	lost       bool // somebody was forgotten
}

func newPasts() pasts { return pasts{young: make(map[key]past), limit: math.MaxInt} }

func (p *pasts) get(k key) (past, bool) {
	one, ok := p.young[k]
	if !ok && p.old != nil {
		one, ok = p.old[k]
	}
	return one, ok
}

func (p *pasts) forget(k key) {
	delete(p.young, k)
	delete(p.old, k)
}

func (p *pasts) set(k key, one past) {
	if len(p.young) >= p.limit {
		p.lost = p.lost || len(p.old) > 0
		p.old, p.young = p.young, make(map[key]past)
	}
	p.young[k] = one
}
