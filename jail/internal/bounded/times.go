package bounded

// Times remembers when keys were last noted: the newest limit of them for certain, and at most twice as many. It is for
// what is noted with every line and seldom asked for: a Store orders keys one by one, this forgets half of them at once.
type Times[K comparable] struct {
	limit       int
	now, before map[K]int64
}

// NewTimes returns an empty memory.
func NewTimes[K comparable](limit int) Times[K] {
	return Times[K]{limit: limit, now: make(map[K]int64), before: make(map[K]int64)}
}

// Note notes k at a time, in any unit.
func (t *Times[K]) Note(k K, at int64) {
	if len(t.now) >= t.limit {
		t.now, t.before = t.before, t.now
		clear(t.now)
	}
	t.now[k] = at
}

// Last returns when k was last noted.
func (t *Times[K]) Last(k K) (at int64, ok bool) {
	if at, ok = t.now[k]; !ok {
		at, ok = t.before[k]
	}
	return at, ok
}
