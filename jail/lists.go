package jail

// lists is a map of keys to lists of marks, which are linked in one slab: who adds a mark allocates nothing. It has room
// for a few marks of each key. When there are too many of either, the key that was touched longest ago is forgotten.
type lists[K comparable, M any] struct {
	*recent[K, list]
	marks []link[M] // marks[0] is none
	free  uint32    // first of the free marks, linked by older
	limit int       // of marks
}

// list is the marks of one key.
type list struct {
	newest uint32
	n      uint32
}

type link[M any] struct {
	mark  M
	older uint32
}

// newLists returns room for so many keys and marks, which are more than one key ever has.
func newLists[K comparable, M any](keys, marks int) *lists[K, M] {
	l := &lists[K, M]{recent: newRecent[K, list](keys), marks: make([]link[M], 1), limit: marks}
	l.gone = func(v *list) {
		for v.newest != 0 {
			l.pop(v)
		}
	}
	return l
}

// add adds the newest mark to the list of the key that was touched last.
func (l *lists[K, M]) add(v *list, m M) {
	i := l.take()
	l.marks[i] = link[M]{m, v.newest}
	v.newest = i
	v.n++
}

func (l *lists[K, M]) take() uint32 {
	if l.free == 0 && len(l.marks) > l.limit {
		l.evict()
	}
	if i := l.free; i != 0 {
		l.free = l.marks[i].older
		return i
	}
	if len(l.marks) == cap(l.marks) { // append would make room for as many again
		more := make([]link[M], len(l.marks), min(len(l.marks)*5/4+64, l.limit+1))
		copy(more, l.marks)
		l.marks = more
	}
	l.marks = append(l.marks, link[M]{})
	return uint32(len(l.marks) - 1)
}

// pop takes the newest mark of a list away.
func (l *lists[K, M]) pop(v *list) { l.cut(v, &v.newest) }

// cut takes the mark away that a link of the list leads to.
func (l *lists[K, M]) cut(v *list, to *uint32) {
	i := *to
	*to = l.marks[i].older
	l.marks[i] = link[M]{older: l.free}
	l.free = i
	v.n--
}

// lastLinks returns the links that lead to the last but one mark of a list, and to the last. There are two at least.
func (l *lists[K, M]) lastLinks(v *list) (second, last *uint32) {
	second = &v.newest
	last = &l.marks[*second].older
	for l.marks[*last].older != 0 {
		second, last = last, &l.marks[*last].older
	}
	return second, last
}

// oldestFirst returns a copy of the marks of a list.
func (l *lists[K, M]) oldestFirst(v *list) []M {
	marks := make([]M, v.n)
	for n, i := len(marks), v.newest; i != 0; i = l.marks[i].older {
		n--
		marks[n] = l.marks[i].mark
	}
	return marks
}
