package jail

// recent is a map that holds its most recently touched keys, at most limit of them. The time of a touch is the caller's,
// in any unit. It allocates nothing once it is full.
type recent[K comparable, V any] struct {
	limit   int
	index   index[K]
	nodes   []node[K, V] // nodes[0] is the ring's head: its next is the newest, its prev the oldest
	free    uint32       // first of the free nodes, linked by next
	evicted uint64
	gone    func(*V) // told of every value that is dropped; may be nil
}

type node[K comparable, V any] struct {
	key        K
	value      V
	touched    int64
	next, prev uint32
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	r := &recent[K, V]{limit: limit, nodes: make([]node[K, V], 1)}
	r.index = newIndex(limit, func(i uint32) K { return r.nodes[i].key })
	return r
}

func (r *recent[K, V]) len() int { return r.index.used }

// get returns the value of k, or nil. The pointer is valid until the next touch.
func (r *recent[K, V]) get(k K) *V {
	if n := r.look(k); n != nil {
		return &n.value
	}
	return nil
}

// look returns the node of k, or nil. The pointer is valid until the next touch.
func (r *recent[K, V]) look(k K) *node[K, V] {
	i := r.index.find(k, r.index.hash(k))
	if i == 0 {
		return nil
	}
	return &r.nodes[i]
}

// touched returns when k was touched last.
func (r *recent[K, V]) touched(k K) (at int64, ok bool) {
	i := r.index.find(k, r.index.hash(k))
	return r.nodes[i].touched, i != 0
}

// touch makes k the newest key, a new one with the zero value if need be, and evicts the oldest when there are too many.
func (r *recent[K, V]) touch(k K, at int64) *V {
	h := r.index.hash(k)
	i := r.index.find(k, h)
	if i != 0 {
		r.unlink(i)
	} else {
		i = r.add(k, h)
	}
	r.nodes[i].touched = at
	r.pushFront(i)
	return &r.nodes[i].value
}

func (r *recent[K, V]) add(k K, h uint64) uint32 {
	if r.len() >= r.limit {
		r.evict()
	}
	i := r.take()
	r.nodes[i].key = k
	r.index.put(h, i)
	return i
}

// evict drops the oldest key, early.
func (r *recent[K, V]) evict() {
	r.drop(r.nodes[0].prev)
	r.evicted++
}

// expire drops the keys at the old end whose touch is more than age away from now, in either direction: a clock may have
// stepped back.
func (r *recent[K, V]) expire(now, age int64) {
	for i := r.nodes[0].prev; i != 0; i = r.nodes[0].prev {
		if d := now - r.nodes[i].touched; d <= age && d >= -age {
			return
		}
		r.drop(i)
	}
}

func (r *recent[K, V]) delete(k K) {
	if i := r.index.find(k, r.index.hash(k)); i != 0 {
		r.drop(i)
	}
}

func (r *recent[K, V]) drop(i uint32) {
	n := &r.nodes[i]
	r.unlink(i)
	r.index.remove(r.index.hash(n.key), i)
	if r.gone != nil {
		r.gone(&n.value)
	}
	*n = node[K, V]{next: r.free}
	r.free = i
}

func (r *recent[K, V]) take() uint32 {
	if i := r.free; i != 0 {
		r.free = r.nodes[i].next
		return i
	}
	if len(r.nodes) == cap(r.nodes) { // append would make room for more than there can ever be
		more := make([]node[K, V], len(r.nodes), min(max(2*len(r.nodes), 64), r.limit+1))
		copy(more, r.nodes)
		r.nodes = more
	}
	r.nodes = append(r.nodes, node[K, V]{})
	return uint32(len(r.nodes) - 1)
}

func (r *recent[K, V]) unlink(i uint32) {
	n := &r.nodes[i]
	r.nodes[n.prev].next, r.nodes[n.next].prev = n.next, n.prev
}

func (r *recent[K, V]) pushFront(i uint32) {
	first := r.nodes[0].next
	r.nodes[i].prev, r.nodes[i].next = 0, first
	r.nodes[first].prev, r.nodes[0].next = i, i
}

// all yields every node, the oldest first. The body may delete the one that it is given, and touch none.
func (r *recent[K, V]) all(yield func(*node[K, V]) bool) {
	for i := r.nodes[0].prev; i != 0; {
		newer := r.nodes[i].prev
		if !yield(&r.nodes[i]) {
			return
		}
		i = newer
	}
}
