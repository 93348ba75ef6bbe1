package bounded

import "math"

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

// Rows is a map of keys to rows of marks, all of the same length, for very many keys. It is a slab, found by hash and
// linked by age: a map from key to a pointer takes three times the memory, and the garbage collector's time.
type Rows[K comparable, M any] struct {
	limit   int
	width   int // marks of a row
	index   index[K]
	chunks  []chunk[K, M] // so that growing copies nothing
	fresh   uint32        // rows ever used
	free    uint32        // 1 + first of the freed rows, linked by next
	newest  uint32        // 1 + number
	oldest  uint32
	evicted uint64
}

// chunk keeps the keys apart: changing the order by age looks at neighbours that have nothing else to do with it, and the
// smaller those are, the more of them the cache holds.
type chunk[K comparable, M any] struct {
	keys  []K
	rows  []row
	marks []M
}

type row struct {
	next, prev uint32 // 1 + number: next is older, prev is newer
	n          uint16 // marks in use
}

// NewRows returns room for limit keys.
func NewRows[K comparable, M any](limit, width int, hash func(K) uint64) *Rows[K, M] {
	r := &Rows[K, M]{limit: limit, width: width}
	r.index = newIndex(limit, hash, func(n uint32) K { return r.Key(n - 1) })
	return r
}

// Len is the number of keys.
func (r *Rows[K, M]) Len() int { return r.index.used }

// Evicted is the number of keys that were forgotten early because there were too many.
func (r *Rows[K, M]) Evicted() uint64 { return r.evicted }

// At returns the marks of a row, all of them, and how many are in use.
func (r *Rows[K, M]) At(id uint32) (used *uint16, marks []M) {
	c := &r.chunks[id>>chunkBits]
	i := int(id & (chunkSize - 1))
	return &c.rows[i].n, c.marks[i*r.width : (i+1)*r.width]
}

func (r *Rows[K, M]) row(id uint32) *row { return &r.chunks[id>>chunkBits].rows[id&(chunkSize-1)] }

// Key is that of a row.
func (r *Rows[K, M]) Key(id uint32) K { return r.chunks[id>>chunkBits].keys[id&(chunkSize-1)] }

// Find returns the row of k, if there is one.
func (r *Rows[K, M]) Find(k K) (id uint32, ok bool) {
	n := r.index.find(k, r.index.hash(k))
	return n - 1, n != 0
}

// Oldest returns the row that was touched longest ago, if there is any.
func (r *Rows[K, M]) Oldest() (id uint32, ok bool) { return r.oldest - 1, r.oldest != 0 }

// Touch returns the row of k and makes it the newest. A new one has no marks, and evicts the oldest if there are too many.
func (r *Rows[K, M]) Touch(k K) (id uint32) {
	h := r.index.hash(k)
	n := r.index.find(k, h)
	switch n {
	case 0:
		n = r.add(k, h)
	case r.newest:
		return n - 1
	default:
		r.unlink(n)
	}
	r.pushNewest(n)
	return n - 1
}

func (r *Rows[K, M]) add(k K, h uint64) (n uint32) {
	if r.Len() >= r.limit {
		r.Remove(r.oldest - 1)
		r.evicted++
	}
	n = r.take()
	r.chunks[(n-1)>>chunkBits].keys[(n-1)&(chunkSize-1)] = k
	r.index.put(h, n)
	return n
}

// Remove drops a row.
func (r *Rows[K, M]) Remove(id uint32) {
	r.index.remove(r.index.hash(r.Key(id)), id+1)
	r.unlink(id + 1)
	*r.row(id) = row{next: r.free}
	r.free = id + 1
}

func (r *Rows[K, M]) take() uint32 {
	if n := r.free; n != 0 {
		r.free = r.row(n - 1).next
		*r.row(n - 1) = row{}
		return n
	}
	if r.fresh&(chunkSize-1) == 0 {
		r.chunks = append(r.chunks, chunk[K, M]{make([]K, chunkSize), make([]row, chunkSize), make([]M, chunkSize*r.width)})
	}
	r.fresh++
	return r.fresh
}

func (r *Rows[K, M]) unlink(n uint32) {
	h := r.row(n - 1)
	if h.prev != 0 {
		r.row(h.prev - 1).next = h.next
	} else {
		r.newest = h.next
	}
	if h.next != 0 {
		r.row(h.next - 1).prev = h.prev
	} else {
		r.oldest = h.prev
	}
}

func (r *Rows[K, M]) pushNewest(n uint32) {
	h := r.row(n - 1)
	h.prev, h.next = 0, r.newest
	if r.newest != 0 {
		r.row(r.newest - 1).prev = n
	} else {
		r.oldest = n
	}
	r.newest = n
}

// All yields every row, the newest first. The body may remove the row that it is given.
func (r *Rows[K, M]) All(yield func(uint32) bool) {
	for n := r.newest; n != 0; {
		next := r.row(n - 1).next
		if !yield(n - 1) {
			return
		}
		n = next
	}
}

// Trap makes All panic, in tests which show that something does not look through the rows.
func (r *Rows[K, M]) Trap() { r.newest = math.MaxUint32 }
