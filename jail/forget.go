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

// keysIn yields the key of every host in p, or of the one that holds it: hosts have so many bits by their family. few is false
// where these are more than most, or some are single addresses: then those who are remembered must be looked at.
func (s *Strangers) keysIn(p netip.Prefix, bits4, bits6, most int) (keys iter.Seq[key], few bool) {
	first := s.Unit(p.Masked().Addr(), bits4, bits6)
	n := unitsOf(p, first.Bits())
	if _, strange := s.Touches(p); strange || n > uint64(most) {
		return nil, false
	}
	return func(yield func(key) bool) {
		for k := keyOf(first); n > 0 && yield(k); n-- {
			k = k.plus(first.Addr().BitLen() - first.Bits())
		}
	}, true
}

// hostsIn yields the keys of r that overlap p. The body may delete the one that it is given.
func hostsIn[V any](s *Strangers, r *recent[key, V], p netip.Prefix) iter.Seq[key] {
	keys, few := s.keysIn(p, 32, 64, r.len())
	if !few {
		return func(yield func(key) bool) {
			for node := range r.all {
				if p.Overlaps(node.key.host()) && !yield(node.key) {
					return
				}
			}
		}
	}
	return func(yield func(key) bool) {
		for k := range keys {
			if r.get(k) != nil && !yield(k) {
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
	keys, few := t.cfg.Strangers.keysIn(p, t.cfg.IPv4Prefix, t.cfg.IPv6Prefix, t.hosts.len())
	if !few {
		return func(yield func(uint32) bool) {
			for id := range t.hosts.all {
				if p.Overlaps(t.cfg.prefixOf(t.hosts.key(id))) && !yield(id) {
					return
				}
			}
		}
	}
	return func(yield func(uint32) bool) {
		for k := range keys {
			if id, ok := t.hosts.find(k); ok && !yield(id) {
				return
			}
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
