package tally

import (
	"cmp"
	"hash/maphash"
	"math/rand/v2"
	"slices"
)

// top finds the most frequent of arbitrarily many keys, in bounded memory: the algorithm of Misra and Gries ("Finding repeated elements", 1982)
// with the batched decrements of Anderson and others ("A High-Performance Algorithm for Identifying Frequent Items in Data Streams", 2017).
// When there is no room for a new key, the median of all counts is taken off each, and those that are left with nothing are forgotten. So at
// least half of the keys lose what each loses: of a sum n, no count loses more than 2n/size, and whoever has more than that is listed.
//
// Counting makes no garbage. Keys are told apart by hashes with a seed of their own, which nobody can guess: with a million keys, the odds that
// any two have the same are 1 to 37 million.
type top[K any] struct {
	size   int
	words  maphash.Seed // of the hashes of texts
	seed   uint64       // of those of addresses
	slots  []slot[K]    // open addressing, a power of two
	used   int
	lost   uint64 // how much a key that is listed may have more than its count
	others uint64 // the most that a key has that is not listed, at least lost
	room   []uint64
}

// slot is a key that is listed; with a count of 0 it is free.
type slot[K any] struct {
	hash, count uint64
	key         K
}

// newTop returns a top that lists so many keys.
func newTop[K any](size int) *top[K] {
	room := 4
	for room < 2*size {
		room *= 2
	}
	return &top[K]{size: size, words: maphash.MakeSeed(), seed: rand.Uint64(), slots: make([]slot[K], room), room: make([]uint64, 0, size)}
}

// add counts n more of the key with that hash. It returns where to put the key if it was not listed, else nil.
func (t *top[K]) add(hash, n uint64) *K {
	s := t.find(hash)
	if s.count > 0 {
		s.count += n
		return nil
	}
	if n == 0 {
		return nil
	}
	if t.used == t.size {
		t.purge()
		s = t.find(hash)
	}
	t.lost = t.others // the new one may have had as much
	t.used++
	s.hash, s.count = hash, n
	return &s.key
}

// find returns the slot of a hash, or a free one where it would be.
func (t *top[K]) find(hash uint64) *slot[K] {
	for at := hash; ; at++ {
		if s := &t.slots[at&uint64(len(t.slots)-1)]; s.count == 0 || s.hash == hash {
			return s
		}
	}
}

// purge takes the median of all counts off each.
func (t *top[K]) purge() {
	t.room = t.room[:0]
	for i := range t.slots {
		if n := t.slots[i].count; n > 0 {
			t.room = append(t.room, n)
		}
	}
	slices.Sort(t.room)
	less := t.room[len(t.room)/2]
	t.others += less
	t.lost = t.others
	t.used = 0
	t.sift(less)
}

// sift takes so much off each count, and moves those that remain to where find looks for them. It goes around the table from a free slot on, so that
// whatever stood in the way of a key was moved before it.
func (t *top[K]) sift(less uint64) {
	mask := len(t.slots) - 1
	start := slices.IndexFunc(t.slots, func(s slot[K]) bool { return s.count == 0 })
	for i := range t.slots {
		s := &t.slots[(start+i)&mask]
		if s.count <= less {
			s.count = 0
			continue
		}
		n := s.count - less
		s.count = 0
		to := t.find(s.hash)
		if to != s {
			*to = *s
		}
		to.count = n
		t.used++
	}
}

// count is how much a key has, as far as that is known.
type count[K any] struct {
	key             K
	atLeast, atMost uint64
}

// each yields the keys that are listed and their counts, in no order.
func (t *top[K]) each(yield func(*K, uint64) bool) {
	for i := range t.slots {
		if s := &t.slots[i]; s.count > 0 && !yield(&s.key, s.count) {
			return
		}
	}
}

// counts returns the keys that are listed, in no order.
func (t *top[K]) counts() []count[K] {
	list := make([]count[K], 0, t.used)
	for k, n := range t.each {
		list = append(list, count[K]{*k, n, n + t.lost})
	}
	return list
}

// first returns the n keys that have most, and the most that any other has. If there are more, the first is the first.
func (t *top[K]) first(n int, compare func(a, b K) int) (list []count[K], others uint64) {
	if list = t.counts(); len(list) <= n {
		return list, t.others
	}
	slices.SortFunc(list, func(a, b count[K]) int { return cmp.Or(cmp.Compare(b.atLeast, a.atLeast), compare(a.key, b.key)) })
	return list[:n], max(t.others, list[n].atMost)
}
