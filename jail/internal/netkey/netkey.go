// Package netkey has addresses and networks as numbers, which take less memory and less time to hash than netip's.
package netkey

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"net/netip"

	"github.com/dchest/siphash"

	"exile/jail/internal/bounded"
)

// Key is an address, IPv4 as IPv4-mapped, or the first address of a prefix whose length follows from its family: see
// Units.
type Key struct{ High, Low uint64 }

// Of is the key of a prefix.
func Of(p netip.Prefix) Key { return OfAddr(p.Addr()) }

// OfAddr is the key of an address.
func OfAddr(a netip.Addr) Key {
	if a.Is4() {
		b := a.As4()
		return Key{Low: mapped | uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return Key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Addr is the address, or the first one of the prefix.
func (k Key) Addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.High)
	binary.BigEndian.PutUint64(b[8:], k.Low)
	return netip.AddrFrom16(b).Unmap()
}

// Prefix is that of the key, with so many bits by its family, or a single address where more bits are set.
func (k Key) Prefix(bits4, bits6 int) netip.Prefix {
	a, bits := k.Addr(), bits6
	if a.Is4() {
		bits = bits4
	}
	if p, _ := a.Prefix(bits); p.Addr() == a {
		return p
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// plus is k and 2 to the power of bit.
func (k Key) plus(bit int) Key {
	if bit >= 64 {
		return Key{k.High + 1<<(bit-64), k.Low}
	}
	low, carry := bits.Add64(k.Low, 1<<bit, 0)
	return Key{k.High + carry, low}
}

// Hash returns a hash of keys, with a random seed of its own.
func Hash() func(Key) uint64 {
	a, b, c := bounded.Secret(), bounded.Secret(), bounded.Secret()
	return func(k Key) uint64 { return bounded.Mix(c, bounded.Mix(k.High^a, k.Low^b)) }
}

// Units says what counts as one address.
type Units interface {
	// Unit is the prefix that counts as one with a: so many bits by its family, or a alone.
	Unit(a netip.Addr, bits4, bits6 int) netip.Prefix
	// Touches reports whether single addresses count in p, and why.
	Touches(p netip.Prefix) (who string, ok bool)
}

// In yields the key of every unit in p, or of the one that holds it. few is false where these are more than most, or some
// are single addresses: then the caller has to look through what it remembers. A pardon must not do that without need: a
// flush is a million of them.
func In(units Units, p netip.Prefix, bits4, bits6, most int) (keys iter.Seq[Key], few bool) {
	first := units.Unit(p.Masked().Addr(), bits4, bits6)
	n := count(p, first.Bits())
	if _, single := units.Touches(p); single || n > uint64(most) {
		return nil, false
	}
	return func(yield func(Key) bool) {
		for k := Of(first); n > 0 && yield(k); n-- {
			k = k.plus(first.Addr().BitLen() - first.Bits())
		}
	}, true
}

// count is how many prefixes of so many bits are in p; 1 if p is narrower.
func count(p netip.Prefix, bits int) uint64 {
	if inside := bits - p.Bits(); inside > 0 {
		return 1 << min(inside, 63)
	}
	return 1
}

// ID is a network as one number: the first 64 bits of IPv6, or IPv4 in the place of 0:ffff:a.b.c.d, or the hash of a
// single IPv6 address in the place of multicast. IPv6 has no networks there, see Counted. It only tells networks apart:
// what is banned is kept as a Key.
type ID uint64

const (
	mapped    = 0xffff << 32
	multicast = 0xff << 56
	linkLocal = mapped | 169<<24 | 254<<16
)

// Multicast is no network's ID.
const Multicast ID = multicast

// Secret is the key of the hash in an ID: without it nobody can make up addresses that are taken for each other.
type Secret [2]uint64

// NewSecret returns a random secret.
func NewSecret() Secret { return Secret{bounded.Secret(), bounded.Secret()} }

// ID is the number of a network.
func (s Secret) ID(p netip.Prefix) ID {
	if p.Bits() > 64 {
		b := p.Addr().As16()
		return ID(multicast | siphash.Hash(s[0], s[1], b[:])>>8)
	}
	return IDOf(p.Addr())
}

// IDOf is the number of an IPv4 address, or of the /64 of an IPv6 address.
func IDOf(a netip.Addr) ID {
	k := OfAddr(a)
	if a.Is4() {
		return ID(k.Low)
	}
	return ID(k.High)
}

// Counted reports whether an address is counted: not one in the ranges of IPv6 whose place others take. Nothing is routed
// to the one, and nothing comes from the other.
func Counted(a netip.Addr) bool {
	if !a.IsValid() || a.Is4() {
		return a.IsValid()
	}
	return !IDOf(a).Is4() && !a.IsMulticast()
}

// Is4 reports whether it is a network of IPv4.
func (n ID) Is4() bool { return n>>32 == 0xffff }

// Hashed reports whether it is a single IPv6 address, which the number does not tell.
func (n ID) Hashed() bool { return n>>56 == multicast>>56 }

// Region is the /16 or /48 of a network; a stranger is its own.
func (n ID) Region() ID {
	if n.Hashed() || n>>16 == linkLocal>>16 {
		return n
	}
	return n &^ math.MaxUint16
}

// Addr is the first address of the network.
func (n ID) Addr() netip.Addr {
	if n.Is4() {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(n))
	return netip.AddrFrom16(b)
}
