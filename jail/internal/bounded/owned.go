package bounded

// Owned is a store whose keys belong to users. When it is full it forgets a key of the user who has the most and, of
// those, the oldest in the network that has the most of them: a user with many logins pushes out no one else's keys.
type Owned[K comparable, V any] struct {
	*Store[K, OwnedValue[V]]
	keys map[Owner]int // how many keys each has; no entry is 0
}

// OwnedValue is a value, with the owner of its key.
type OwnedValue[V any] struct {
	Owner Owner
	Value V
}

// Owner is a user, by a number that stands for the name, and a network that the keys came from. With network 0 it is the
// user as a whole. User 0 is nobody: then each network counts as a user.
type Owner struct {
	User    uint32
	Network uint64
}

// all is the user as a whole.
func (o Owner) all() Owner {
	if o.User == 0 {
		return o
	}
	return Owner{User: o.User}
}

// NewOwned returns an empty store. gone is told of every value that is dropped; it may be nil.
func NewOwned[K comparable, V any](limit int, hash func(K) uint64, gone func(*V)) *Owned[K, V] {
	s := &Owned[K, V]{New[K, OwnedValue[V]](limit, hash), make(map[Owner]int)}
	s.gone = func(v *OwnedValue[V]) {
		s.count(v.Owner, -1)
		if gone != nil {
			gone(&v.Value)
		}
	}
	return s
}

// Touch makes k the newest key. A key of two users belongs to the one who has fewer: nobody makes the store forget
// somebody else's key by using it.
func (s *Owned[K, V]) Touch(k K, at int64, by Owner) *V {
	old := s.Get(k)
	if old == nil && s.Len() >= s.limit {
		s.evict()
	}
	v := s.Store.Touch(k, at)
	switch {
	case old == nil:
		s.own(v, by)
	case v.Owner != by && s.keys[by.all()]+1 < s.keys[v.Owner.all()]:
		s.count(v.Owner, -1)
		s.own(v, by)
	}
	return &v.Value
}

func (s *Owned[K, V]) own(v *OwnedValue[V], by Owner) {
	v.Owner = by
	s.count(by, 1)
}

// count adds n to the keys of an owner, and of the user as a whole.
func (s *Owned[K, V]) count(by Owner, n int) {
	s.add(by, n)
	if all := by.all(); all != by {
		s.add(all, n)
	}
}

func (s *Owned[K, V]) add(by Owner, n int) {
	if s.keys[by] += n; s.keys[by] <= 0 {
		delete(s.keys, by)
	}
}

// Recount sets the networks of all owners, and counts their keys: what was read from a snapshot has only users.
func (s *Owned[K, V]) Recount(network func(K) uint64) {
	clear(s.keys)
	for e := range s.All {
		e.Value.Owner.Network = network(e.Key)
		s.count(e.Value.Owner, 1)
	}
}

// evict looks at every key.
func (s *Owned[K, V]) evict() {
	var victim uint32
	var most, part int
	for i := s.entries[0].prev; i != 0; i = s.entries[i].prev {
		owner := s.entries[i].Value.Owner
		if all := s.keys[owner.all()]; all > most || all == most && s.keys[owner] > part {
			victim, most, part = i, all, s.keys[owner]
		}
	}
	s.drop(victim)
	s.evicted++
}
