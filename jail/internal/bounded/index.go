package bounded

import "math/bits"

// index finds things by their keys. It knows the things by number, 1 and up, and looks at their keys where its owner keeps
// them: open addressing with linear probing. The bits of an entry that no number needs hold bits of the key's hash, so
// it seldom looks at the key of something else: with many things, each look is a cache miss. The hash has a random seed:
// nobody can choose keys that collide.
type index[K comparable] struct {
	hash    func(K) uint64
	key     func(number uint32) K
	entries []uint32 // 0: free; the length is a power of two
	shift   int      // of a hash, to where its key belongs: its first bits
	number  uint32   // mask: the bits of an entry that are the number
	placed  bool     // the other bits are the first of the hash, and enough to know where the key belongs
	used    int
}

const firstEntries = 64

// newIndex returns an index of numbers up to limit. hash has a seed of its own; key returns the key of a number in use.
func newIndex[K comparable](limit int, hash func(K) uint64, key func(number uint32) K) index[K] {
	n := bits.Len(uint(limit))
	return index[K]{
		hash: hash, key: key, entries: make([]uint32, firstEntries), shift: 64 - bits.Len(firstEntries-1),
		number: 1<<n - 1, placed: 2*n+1 <= 32, // there are at most twice as many entries as things
	}
}

// tag is what an entry holds of a hash.
func (x *index[K]) tag(h uint64) uint32 {
	if x.placed {
		h >>= 32
	}
	return uint32(h) &^ x.number
}

// home is where the key of an entry belongs.
func (x *index[K]) home(e uint32) int {
	if x.placed {
		return int(e >> (x.shift - 32))
	}
	return int(x.hash(x.key(e&x.number)) >> x.shift)
}

// find returns the number of k, whose hash is h, or 0.
func (x *index[K]) find(k K, h uint64) uint32 {
	tag, last := x.tag(h), len(x.entries)-1
	for i := int(h >> x.shift); ; i = (i + 1) & last {
		e := x.entries[i]
		if e == 0 || e&^x.number == tag && x.key(e&x.number) == k {
			return e & x.number
		}
	}
}

// put adds a key, which is not there yet, by its hash and number.
func (x *index[K]) put(h uint64, number uint32) {
	if x.used++; x.used > len(x.entries)/4*3 {
		x.grow()
	}
	x.place(int(h>>x.shift), x.tag(h)|number)
}

func (x *index[K]) place(i int, e uint32) {
	for x.entries[i] != 0 {
		i = (i + 1) & (len(x.entries) - 1)
	}
	x.entries[i] = e
}

// remove takes a key out, which is there, by its hash and number. The entries behind it move up, so that no search stops
// early.
func (x *index[K]) remove(h uint64, number uint32) {
	last := len(x.entries) - 1
	hole := int(h >> x.shift)
	for x.entries[hole]&x.number != number {
		hole = (hole + 1) & last
	}
	for i := (hole + 1) & last; x.entries[i] != 0; i = (i + 1) & last {
		if home := x.home(x.entries[i]); (i-home)&last >= (i-hole)&last {
			x.entries[hole] = x.entries[i]
			hole = i
		}
	}
	x.entries[hole] = 0
	x.used--
}

func (x *index[K]) grow() {
	old := x.entries
	x.entries = make([]uint32, 2*len(old))
	x.shift--
	for _, e := range old {
		if e != 0 {
			x.place(x.home(e), e)
		}
	}
}
