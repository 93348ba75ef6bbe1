package jail

// shared is a recent whose keys belong to users. When it is full it forgets a key of the user who has the most, and of
// those the oldest in the network that has the most of them: a user with many logins pushes out only that user's own.
type shared[K comparable, V any] struct {
	*recent[K, owned[V]]
	keys map[sharer]int // how many each has; none has 0
}

type owned[V any] struct {
	of    sharer
	value V
}

// sharer is a user, by a number that stands for the name, and a network that keys came from; without a network it is the
// user as a whole. The user 0 is nobody: then each network is a user.
type sharer struct {
	user uint32
	net  netID
}

// all is the user as a whole.
func (s sharer) all() sharer {
	if s.user == 0 {
		return s
	}
	return sharer{user: s.user}
}

// newShared returns one for limit keys. gone is told of every value that is dropped; it may be nil.
func newShared[K comparable, V any](limit int, gone func(*V)) *shared[K, V] {
	s := &shared[K, V]{newRecent[K, owned[V]](limit), make(map[sharer]int)}
	s.gone = func(v *owned[V]) {
		s.count(v.of, -1)
		if gone != nil {
			gone(&v.value)
		}
	}
	return s
}

// touch makes k the newest key. A key of two users belongs to the one who has fewer, so that nobody makes another's key
// forgotten by using it.
func (s *shared[K, V]) touch(k K, at int64, by sharer) *V {
	old := s.get(k)
	if old == nil && s.len() >= s.limit {
		s.evict()
	}
	v := s.recent.touch(k, at)
	switch {
	case old == nil:
		s.own(v, by)
	case v.of != by && s.keys[by.all()]+1 < s.keys[v.of.all()]:
		s.count(v.of, -1)
		s.own(v, by)
	}
	return &v.value
}

func (s *shared[K, V]) own(v *owned[V], by sharer) {
	v.of = by
	s.count(by, 1)
}

// count adds n to the keys of a sharer, and of the user as a whole.
func (s *shared[K, V]) count(by sharer, n int) {
	s.add(by, n)
	if all := by.all(); all != by {
		s.add(all, n)
	}
}

func (s *shared[K, V]) add(by sharer, n int) {
	if s.keys[by] += n; s.keys[by] <= 0 {
		delete(s.keys, by)
	}
}

// restored counts keys that were touched with nothing but the number of their user.
func (s *shared[K, V]) restored(from func(K) netID) {
	for n := range s.all {
		n.value.of.net = from(n.key)
		s.count(n.value.of, 1)
	}
}

// evict looks at every key.
func (s *shared[K, V]) evict() {
	var victim uint32
	var most, part int
	for i := s.nodes[0].prev; i != 0; i = s.nodes[i].prev {
		of := s.nodes[i].value.of
		if all := s.keys[of.all()]; all > most || all == most && s.keys[of] > part {
			victim, most, part = i, all, s.keys[of]
		}
	}
	s.drop(victim)
	s.evicted++
}
