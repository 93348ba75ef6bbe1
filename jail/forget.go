package jail

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// A pardon must not look at everything that is remembered: a flush is a million of them. Whoever counts hosts looks each
// host of the prefix up, unless these are more than are remembered.

// unitsOf is how many prefixes of so many bits are in p; one for a narrower p.
func unitsOf(p netip.Prefix, bits int) uint64 {
	if inside := bits - p.Bits(); inside > 0 {
		return 1 << min(inside, 63)
	}
	return 1
}

// hostsIn yields the keys of r that overlap p. The body may delete the one that it is given.
func hostsIn[V any](r *recent[netID, V], p netip.Prefix) iter.Seq[netID] {
	first := hostOf(p.Masked().Addr())
	n := unitsOf(p, first.host().Bits())
	if n > uint64(r.len()) || !counted(p.Addr()) {
		return func(yield func(netID) bool) {
			for node := range r.all {
				if p.Overlaps(node.key.host()) && !yield(node.key) {
					return
				}
			}
		}
	}
	return func(yield func(netID) bool) {
		for i := range n {
			if host := first + netID(i); r.get(host) != nil && !yield(host) {
				return
			}
		}
	}
}

// widesIn yields the networks in r that overlap p. The body may delete the one that it is given.
func widesIn[V any](r *recent[wideID, V], p netip.Prefix) iter.Seq[wideID] {
	if narrowest := around(p.Addr())[0]; p.Bits() < narrowest.bits() || !counted(p.Addr()) {
		return func(yield func(wideID) bool) {
			for node := range r.all {
				if p.Overlaps(node.key.prefix()) && !yield(node.key) {
					return
				}
			}
		}
	}
	return func(yield func(wideID) bool) {
		for _, wide := range around(p.Addr()) {
			if wide != 0 && r.get(wide) != nil && !yield(wide) {
				return
			}
		}
	}
}

// idsIn yields the numbers of the hosts of t that overlap p. The body may remove the one that it is given.
func (t *threshold) idsIn(p netip.Prefix) iter.Seq[uint32] {
	first := t.cfg.prefix(p.Masked().Addr())
	n := unitsOf(p, first.Bits())
	if n > uint64(t.hosts.len()) {
		return func(yield func(uint32) bool) {
			for id := range t.hosts.all {
				if p.Overlaps(t.cfg.prefixOf(t.hosts.key(id))) && !yield(id) {
					return
				}
			}
		}
	}
	return func(yield func(uint32) bool) {
		for k := keyOf(first); n > 0; n-- {
			if id, ok := t.hosts.find(k); ok && !yield(id) {
				return
			}
			k = k.plus(first.Addr().BitLen() - first.Bits())
		}
	}
}

// plus is k and 2 to the power of bit.
func (k key) plus(bit int) key {
	high, low := binary.BigEndian.Uint64(k[:8]), binary.BigEndian.Uint64(k[8:])
	switch sum := low + 1<<bit; {
	case bit >= 64:
		high += 1 << (bit - 64)
	case sum < low:
		high, low = high+1, sum
	default:
		low = sum
	}
	binary.BigEndian.PutUint64(k[:8], high)
	binary.BigEndian.PutUint64(k[8:], low)
	return k
}
