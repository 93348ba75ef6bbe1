package jail

// recent is a map that holds its most recently touched keys, at most limit of them. The time of a touch is the caller's,
// in any unit. It allocates nothing once it is full.
type recent[K comparable, V any] struct {
	limit   int
	index   map[K]int32
	nodes   []node[K, V] // nodes[0] is the ring's head: its next is the newest, its prev the oldest
	free    []int32
	evicted uint64
}

type node[K comparable, V any] struct {
	key        K
	value      V
	touched    int64
	next, prev int32
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, index: make(map[K]int32), nodes: make([]node[K, V], 1)}
}

// get returns the value of k, or nil. The pointer is valid until the next touch.
func (r *recent[K, V]) get(k K) *V {
	i, ok := r.index[k]
	if !ok {
		return nil
	}
	return &r.nodes[i].value
}

// touch makes k the newest key, a new one with the zero value if need be, and evicts the oldest when there are too many.
func (r *recent[K, V]) touch(k K, at int64) *V {
	i, ok := r.index[k]
	switch {
	case ok:
		r.unlink(i)
	default:
		if len(r.index) >= r.limit {
			r.drop(r.nodes[0].prev)
			r.evicted++
		}
		i = r.take()
		r.nodes[i].key = k
		r.index[k] = i
	}
	r.nodes[i].touched = at
	r.pushFront(i)
	return &r.nodes[i].value
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
	if i, ok := r.index[k]; ok {
		r.drop(i)
	}
}

func (r *recent[K, V]) drop(i int32) {
	r.unlink(i)
	delete(r.index, r.nodes[i].key)
	r.nodes[i] = node[K, V]{}
	r.free = append(r.free, i)
}

func (r *recent[K, V]) take() int32 {
	if n := len(r.free); n > 0 {
		i := r.free[n-1]
		r.free = r.free[:n-1]
		return i
	}
	r.nodes = append(r.nodes, node[K, V]{})
	return int32(len(r.nodes) - 1)
}

func (r *recent[K, V]) unlink(i int32) {
	n := &r.nodes[i]
	r.nodes[n.prev].next, r.nodes[n.next].prev = n.next, n.prev
}

func (r *recent[K, V]) pushFront(i int32) {
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
