package jail

import (
	"hash/maphash"
	"math/bits"
)

// index finds things by their keys. It knows the things by number, 1 and up, and looks at their keys where its owner keeps
// them: open addressing with linear probing. The bits of an entry that no number needs hold bits of the key's hash, so
// that it hardly ever looks at a stranger's key, which among many things costs a miss of the cache. The seed is random:
// nobody who chooses keys can make them collide.
type index[K comparable] struct {
	seed    maphash.Seed
	key     func(number uint32) K
	entries []uint32 // 0: free; the length is a power of two
	number  uint32   // the bits of an entry that are the number
	used    int
}

// newIndex returns an index of numbers up to limit. key returns the key of a number that was put.
func newIndex[K comparable](limit int, key func(number uint32) K) index[K] {
	return index[K]{seed: maphash.MakeSeed(), key: key, entries: make([]uint32, 64), number: 1<<bits.Len(uint(limit)) - 1}
}

// find returns the number of k, or 0.
func (x *index[K]) find(k K) uint32 {
	i, _ := x.slot(k)
	return x.entries[i] & x.number
}

// put adds k, which is not there yet.
func (x *index[K]) put(k K, number uint32) {
	if x.used++; x.used > len(x.entries)/4*3 {
		x.grow()
	}
	i, tag := x.slot(k)
	x.entries[i] = tag | number
}

// remove takes k, which is there, out. Those behind it move up, so that no search stops too early.
func (x *index[K]) remove(k K) {
	hole, _ := x.slot(k)
	last := len(x.entries) - 1
	for i := (hole + 1) & last; x.entries[i] != 0; i = (i + 1) & last {
		home := int(x.hash(x.key(x.entries[i]&x.number))) & last
		if (i-home)&last >= (i-hole)&last {
			x.entries[hole] = x.entries[i]
			hole = i
		}
	}
	x.entries[hole] = 0
	x.used--
}

// slot is where k stands, or where it would, and the bits of its hash that stand there.
func (x *index[K]) slot(k K) (i int, tag uint32) {
	h := x.hash(k)
	tag = uint32(h>>32) &^ x.number
	last := len(x.entries) - 1
	for i = int(h) & last; ; i = (i + 1) & last {
		e := x.entries[i]
		if e == 0 || e&^x.number == tag && x.key(e&x.number) == k {
			return i, tag
		}
	}
}

func (x *index[K]) hash(k K) uint64 { return maphash.Comparable(x.seed, k) }

func (x *index[K]) grow() {
	old := x.entries
	x.entries = make([]uint32, 2*len(old))
	for _, e := range old {
		if e != 0 {
			i, _ := x.slot(x.key(e & x.number))
			x.entries[i] = e
		}
	}
}
