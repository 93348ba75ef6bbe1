package bounded

// Marks is a store whose values are lists of marks, linked in one slice: adding a mark allocates nothing. It has room for
// a few marks of each key. With too many keys, or too many marks, it forgets the key that was touched longest ago.
type Marks[K comparable, M any] struct {
	*Store[K, List]
	marks []link[M] // marks[0] is none
	free  uint32    // first of the free marks, linked by older
	limit int       // of marks
}

// List is the marks of one key.
type List struct {
	newest uint32
	n      uint32
}

// Len is the number of marks.
func (l *List) Len() int { return int(l.n) }

type link[M any] struct {
	mark  M
	older uint32
}

// NewMarks returns room for so many keys and marks, which are more than one key ever has.
func NewMarks[K comparable, M any](keys, marks int, hash func(K) uint64) *Marks[K, M] {
	s := &Marks[K, M]{Store: New[K, List](keys, hash), marks: make([]link[M], 1), limit: marks}
	s.gone = func(v *List) {
		for v.newest != 0 {
			s.Pop(v)
		}
	}
	return s
}

// Add adds the newest mark to the list of the key that was touched last.
func (s *Marks[K, M]) Add(v *List, m M) {
	i := s.takeMark()
	s.marks[i] = link[M]{m, v.newest}
	v.newest = i
	v.n++
}

func (s *Marks[K, M]) takeMark() uint32 {
	if s.free == 0 && len(s.marks) > s.limit {
		s.evict()
	}
	if i := s.free; i != 0 {
		s.free = s.marks[i].older
		return i
	}
	if len(s.marks) == cap(s.marks) { // append would make room for twice as many
		more := make([]link[M], len(s.marks), min(len(s.marks)*5/4+64, s.limit+1))
		copy(more, s.marks)
		s.marks = more
	}
	s.marks = append(s.marks, link[M]{})
	return uint32(len(s.marks) - 1)
}

// Newest returns the newest mark of a list, which is not empty.
func (s *Marks[K, M]) Newest(v *List) *M { return &s.marks[v.newest].mark }

// NewestFirst yields the marks of a list.
func (s *Marks[K, M]) NewestFirst(v *List) func(yield func(*M) bool) {
	return func(yield func(*M) bool) {
		for i := v.newest; i != 0; i = s.marks[i].older {
			if !yield(&s.marks[i].mark) {
				return
			}
		}
	}
}

// Pop drops the newest mark of a list.
func (s *Marks[K, M]) Pop(v *List) { s.cut(v, &v.newest) }

// DropOldest drops the oldest mark of a list of two or more, and returns it with the one that is the oldest then.
func (s *Marks[K, M]) DropOldest(v *List) (dropped M, oldest *M) {
	second := &v.newest
	last := &s.marks[*second].older
	for s.marks[*last].older != 0 {
		second, last = last, &s.marks[*last].older
	}
	dropped = s.marks[*last].mark
	s.cut(v, last)
	return dropped, &s.marks[*second].mark
}

// Keep drops the marks for which keep returns false.
func (s *Marks[K, M]) Keep(v *List, keep func(*M) bool) {
	for to := &v.newest; *to != 0; {
		if l := &s.marks[*to]; keep(&l.mark) {
			to = &l.older
		} else {
			s.cut(v, to)
		}
	}
}

// cut drops the mark that a link of the list leads to.
func (s *Marks[K, M]) cut(v *List, to *uint32) {
	i := *to
	*to = s.marks[i].older
	s.marks[i] = link[M]{older: s.free}
	s.free = i
	v.n--
}

// OldestFirst returns a copy of the marks of a list.
func (s *Marks[K, M]) OldestFirst(v *List) []M {
	marks := make([]M, v.n)
	for n, i := len(marks), v.newest; i != 0; i = s.marks[i].older {
		n--
		marks[n] = s.marks[i].mark
	}
	return marks
}

// Used is the number of marks of all keys.
func (s *Marks[K, M]) Used() int {
	n := len(s.marks) - 1
	for i := s.free; i != 0; i = s.marks[i].older {
		n--
	}
	return n
}
