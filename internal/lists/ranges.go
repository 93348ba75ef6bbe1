package lists

import (
	"net/netip"
	"slices"
	"sort"

	"exile/firewall"
)

// rangeOf returns the addresses of a network.
func rangeOf(p netip.Prefix) firewall.Range {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(last); bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	to, _ := netip.AddrFromSlice(last)
	return firewall.Range{From: p.Addr(), To: to}
}

// merge sorts ranges and joins those that overlap or touch. It reuses their memory.
func merge(all []firewall.Range) []firewall.Range {
	slices.SortFunc(all, func(a, b firewall.Range) int { return a.From.Compare(b.From) })
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && joins(out[n-1], r) {
			if out[n-1].To.Less(r.To) {
				out[n-1].To = r.To
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// joins reports whether b, which does not begin before a, overlaps a or begins right behind it.
func joins(a, b firewall.Range) bool {
	if a.From.BitLen() != b.From.BitLen() {
		return false
	}
	after := a.To.Next()
	return !after.IsValid() || !after.Less(b.From)
}

// cut returns what is in the ranges and not in the others, and in how many of the ranges some of the others were. Both are merged.
func cut(ranges, others []firewall.Range) (left []firewall.Range, hit int) {
	left = make([]firewall.Range, 0, len(ranges))
	for _, r := range ranges {
		for len(others) > 0 && others[0].To.Less(r.From) {
			others = others[1:]
		}
		rest, open := r, true
		for _, o := range others {
			if r.To.Less(o.From) {
				break
			}
			if rest.From.Less(o.From) {
				left = append(left, firewall.Range{From: rest.From, To: o.From.Prev()})
			}
			if open = o.To.Less(rest.To); !open {
				break
			}
			rest.From = o.To.Next()
		}
		if rest != r || !open {
			hit++
		}
		if open {
			left = append(left, rest)
		}
	}
	return left, hit
}

// holds reports whether merged ranges have the address.
func holds(ranges []firewall.Range, a netip.Addr) bool {
	i := sort.Search(len(ranges), func(i int) bool { return a.Less(ranges[i].From) })
	return i > 0 && !ranges[i-1].To.Less(a) && ranges[i-1].From.BitLen() == a.BitLen()
}

// size4 is how many IPv4 addresses merged ranges have.
func size4(ranges []firewall.Range) (n uint64) {
	for _, r := range ranges {
		if r.From.Is4() {
			n += distance(r) + 1
		}
	}
	return n
}
