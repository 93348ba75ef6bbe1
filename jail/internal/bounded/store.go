// Package bounded has the memory of package jail: a map with a limit, which forgets the keys that were touched longest
// ago, and what is built on it. No attacker makes it grow, and its index is seeded, so none makes it slow.
package bounded

import "math"

// Store is a map that holds its most recently touched keys, at most limit of them. The time of a touch is the caller's,
// in any unit. A full store allocates nothing.
type Store[K comparable, V any] struct {
	limit   int
	index   index[K]
	entries []Entry[K, V] // entries[0] is the ring's head: its next is the newest, its prev the oldest
	free    uint32        // first of the free entries, linked by next
	evicted uint64
	gone    func(*V) // told of every value that is dropped; may be nil
}

// Entry is a key of a store, with its value.
type Entry[K comparable, V any] struct {
	Key        K
	Value      V
	Touched    int64 // the time of its last touch
	next, prev uint32
}

// New returns an empty store.
func New[K comparable, V any](limit int, hash func(K) uint64) *Store[K, V] {
	s := &Store[K, V]{limit: limit, entries: make([]Entry[K, V], 1)}
	s.index = newIndex(limit, hash, func(i uint32) K { return s.entries[i].Key })
	return s
}

// Len is the number of keys.
func (s *Store[K, V]) Len() int { return s.index.used }

// Evicted is the number of keys that were forgotten early because there were too many.
func (s *Store[K, V]) Evicted() uint64 { return s.evicted }

// ClearEvicted starts that number anew.
func (s *Store[K, V]) ClearEvicted() { s.evicted = 0 }

// Slot is where a key is found. It is valid until a key is added or dropped: a caller that looks first and touches then
// searches only once.
type Slot struct {
	hash   uint64
	number uint32 // of the entry; 0: there is none
}

// Slot looks a key up.
func (s *Store[K, V]) Slot(k K) Slot {
	h := s.index.hash(k)
	return Slot{h, s.index.find(k, h)}
}

// At returns the entry in a slot, or nil. The pointer is valid until the next touch.
func (s *Store[K, V]) At(slot Slot) *Entry[K, V] {
	if slot.number == 0 {
		return nil
	}
	return &s.entries[slot.number]
}

// Find returns the entry of k, or nil. The pointer is valid until the next touch.
func (s *Store[K, V]) Find(k K) *Entry[K, V] { return s.At(s.Slot(k)) }

// Get returns the value of k, or nil. The pointer is valid until the next touch.
func (s *Store[K, V]) Get(k K) *V {
	if e := s.Find(k); e != nil {
		return &e.Value
	}
	return nil
}

// Touch makes k the newest key. A new key has the zero value, and evicts the oldest if the store is full.
func (s *Store[K, V]) Touch(k K, at int64) *V {
	v, _ := s.TouchSlot(k, s.Slot(k), at)
	return v
}

// TouchSlot is Touch of the key in a slot. It also returns when the key was touched before; 0 if it is new.
func (s *Store[K, V]) TouchSlot(k K, slot Slot, at int64) (v *V, before int64) {
	i := slot.number
	if i != 0 {
		s.unlink(i)
	} else {
		i = s.add(k, slot.hash)
	}
	e := &s.entries[i]
	before, e.Touched = e.Touched, at
	s.pushFront(i)
	return &e.Value, before
}

func (s *Store[K, V]) add(k K, h uint64) uint32 {
	if s.Len() >= s.limit {
		s.evict()
	}
	i := s.take()
	s.entries[i].Key = k
	s.index.put(h, i)
	return i
}

// evict drops the oldest key, early.
func (s *Store[K, V]) evict() {
	s.drop(s.entries[0].prev)
	s.evicted++
}

// Expire drops the oldest keys as long as their touch is more than age away from now, in either direction: a clock may
// have been set back.
func (s *Store[K, V]) Expire(now, age int64) {
	for i := s.entries[0].prev; i != 0; i = s.entries[0].prev {
		if d := now - s.entries[i].Touched; d <= age && d >= -age {
			return
		}
		s.drop(i)
	}
}

// Delete drops k, if it is there.
func (s *Store[K, V]) Delete(k K) {
	if i := s.index.find(k, s.index.hash(k)); i != 0 {
		s.drop(i)
	}
}

// DeleteSlot drops the key in a slot, which is not empty.
func (s *Store[K, V]) DeleteSlot(slot Slot) { s.drop(slot.number) }

func (s *Store[K, V]) drop(i uint32) {
	e := &s.entries[i]
	s.unlink(i)
	s.index.remove(s.index.hash(e.Key), i)
	if s.gone != nil {
		s.gone(&e.Value)
	}
	*e = Entry[K, V]{next: s.free}
	s.free = i
}

func (s *Store[K, V]) take() uint32 {
	if i := s.free; i != 0 {
		s.free = s.entries[i].next
		return i
	}
	if len(s.entries) == cap(s.entries) { // append would make room for more than there can ever be
		more := make([]Entry[K, V], len(s.entries), min(max(2*len(s.entries), 64), s.limit+1))
		copy(more, s.entries)
		s.entries = more
	}
	s.entries = append(s.entries, Entry[K, V]{})
	return uint32(len(s.entries) - 1)
}

func (s *Store[K, V]) unlink(i uint32) {
	e := &s.entries[i]
	s.entries[e.prev].next, s.entries[e.next].prev = e.next, e.prev
}

func (s *Store[K, V]) pushFront(i uint32) {
	first := s.entries[0].next
	s.entries[i].prev, s.entries[i].next = 0, first
	s.entries[first].prev, s.entries[0].next = i, i
}

// All yields every entry, the oldest first. The body may delete the one that it is given, and touch none.
func (s *Store[K, V]) All(yield func(*Entry[K, V]) bool) {
	for i := s.entries[0].prev; i != 0; {
		newer := s.entries[i].prev
		if !yield(&s.entries[i]) {
			return
		}
		i = newer
	}
}

// Trap makes All panic, in tests which show that something does not look through the store.
func (s *Store[K, V]) Trap() { s.entries[0].prev = math.MaxUint32 }
