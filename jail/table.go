package jail

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
)

const (
	chunkBits    = 10
	chunkSize    = 1 << chunkBits
	bytesPerHost = 128 // a prefix costs at most that, at five marks
)

// key is an address, IPv4 as IPv4-mapped, or a prefix's: its length follows from its family.
type key [16]byte

func keyOf(p netip.Prefix) key { return p.Addr().As16() }

// table holds a fixed number of marks for each of its prefixes and knows which was touched last. It is a slab, found by
// hash, linked by age. A map from prefix to a pointer costs three times the memory, and the garbage collector's time.
type table struct {
	limit   int
	slots   int // marks of a prefix
	seed    maphash.Seed
	index   []uint32 // open addressing, linear probing: 1 + number of the host, 0: free; the length is a power of two
	chunks  []chunk  // so that growing copies nothing
	used    int      // hosts in the index
	fresh   uint32   // hosts ever handed out
	free    uint32   // 1 + first of the freed hosts, linked by next
	newest  uint32   // 1 + number
	oldest  uint32
	evicted uint64
}

type chunk struct {
	hosts []host
	marks []mark
}

type host struct {
	key        key
	next, prev uint32 // 1 + number: next is older, prev is newer
	n          uint16 // marks in use
}

// newTable returns a table for about limit prefixes: fewer if each has so many marks that they took more memory than
// limit prefixes of five marks.
func newTable(limit, slots int) table {
	size := 48 + 16*slots
	if size > bytesPerHost {
		limit = max(1, limit/size*bytesPerHost)
	}
	return table{limit: limit, slots: slots, seed: maphash.MakeSeed(), index: make([]uint32, 64)}
}

// at returns a host and its marks, all of them.
func (t *table) at(id uint32) (*host, []mark) {
	c := &t.chunks[id>>chunkBits]
	i := int(id & (chunkSize - 1))
	return &c.hosts[i], c.marks[i*t.slots : (i+1)*t.slots]
}

func (t *table) host(id uint32) *host { return &t.chunks[id>>chunkBits].hosts[id&(chunkSize-1)] }

// slot is where k stands in the index, or where it would.
func (t *table) slot(k key) int {
	mask := len(t.index) - 1
	for i := t.home(k); ; i = (i + 1) & mask {
		if n := t.index[i]; n == 0 || t.host(n-1).key == k {
			return i
		}
	}
}

func (t *table) home(k key) int {
	return int(maphash.Comparable(t.seed, [2]uint64{binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:])})) & (len(t.index) - 1)
}

func (t *table) find(k key) (uint32, bool) {
	n := t.index[t.slot(k)]
	return n - 1, n != 0
}

// touch returns the host of k and makes it the newest; a new one, for which the oldest may have to go, has no marks.
func (t *table) touch(k key) uint32 {
	i := t.slot(k)
	if n := t.index[i]; n != 0 {
		if n != t.newest {
			t.unlink(n)
			t.pushNewest(n)
		}
		return n - 1
	}
	if t.used >= t.limit {
		t.remove(t.oldest - 1)
		t.evicted++
		i = t.slot(k)
	}
	n := t.take()
	t.host(n - 1).key = k
	t.index[i] = n
	t.pushNewest(n)
	if t.used++; t.used > len(t.index)/4*3 {
		t.grow()
	}
	return n - 1
}

func (t *table) remove(id uint32) {
	h := t.host(id)
	t.vacate(t.slot(h.key))
	t.unlink(id + 1)
	*h = host{next: t.free}
	t.free = id + 1
	t.used--
}

// vacate frees a place in the index and moves those behind it up, so that no search stops too early.
func (t *table) vacate(hole int) {
	mask := len(t.index) - 1
	for i := (hole + 1) & mask; t.index[i] != 0; i = (i + 1) & mask {
		home := t.home(t.host(t.index[i] - 1).key)
		if (i-home)&mask >= (i-hole)&mask {
			t.index[hole] = t.index[i]
			hole = i
		}
	}
	t.index[hole] = 0
}

func (t *table) grow() {
	old := t.index
	t.index = make([]uint32, 2*len(old))
	for _, n := range old {
		if n != 0 {
			t.index[t.slot(t.host(n-1).key)] = n
		}
	}
}

func (t *table) take() uint32 {
	if n := t.free; n != 0 {
		t.free = t.host(n - 1).next
		*t.host(n - 1) = host{}
		return n
	}
	if t.fresh&(chunkSize-1) == 0 {
		t.chunks = append(t.chunks, chunk{make([]host, chunkSize), make([]mark, chunkSize*t.slots)})
	}
	t.fresh++
	return t.fresh
}

func (t *table) unlink(n uint32) {
	h := t.host(n - 1)
	if h.prev != 0 {
		t.host(h.prev - 1).next = h.next
	} else {
		t.newest = h.next
	}
	if h.next != 0 {
		t.host(h.next - 1).prev = h.prev
	} else {
		t.oldest = h.prev
	}
}

func (t *table) pushNewest(n uint32) {
	h := t.host(n - 1)
	h.prev, h.next = 0, t.newest
	if t.newest != 0 {
		t.host(t.newest - 1).prev = n
	} else {
		t.oldest = n
	}
	t.newest = n
}

// all yields every host with its number, newest first. The body may remove the host that it is given.
func (t *table) all(yield func(uint32) bool) {
	for n := t.newest; n != 0; {
		next := t.host(n - 1).next
		if !yield(n - 1) {
			return
		}
		n = next
	}
}
