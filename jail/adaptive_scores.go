package jail

import (
	"math"
	"time"
)

// points are hundredths of a point: whole numbers, so that sums are exact.
type points uint16

func hundredths(f float64) points { return points(min(max(math.Round(f*100), 0), math.MaxUint16)) }

// scores are the points of addresses. Their marks are lists in one slab, so that an attempt allocates nothing. It has room
// for a few of each address, and when it is full the address that was quiet for longest is forgotten.
type scores struct {
	*recent[netID, score]
	marks []scoreMark // marks[0] is none
	free  uint32      // first of the free marks, linked by older
	limit int
}

// score is the marks of one address. Ten points ban, so that only an address whose points count less, because of a login,
// has more than ten.
type score struct {
	newest uint32
	n      uint32
}

type scoreMark struct {
	at      stamp
	points  points
	guesses uint16
	older   uint32
}

const (
	// maxMarks holds ten points of the fifths that known addresses get, one by one.
	maxMarks = 64
	// marksEach is for how many marks of each address there is room, if all have as many.
	marksEach = 2
)

func newScores(hosts int) *scores {
	s := &scores{recent: newRecent[netID, score](hosts), marks: make([]scoreMark, 1), limit: max(marksEach*hosts, 2*maxMarks)}
	s.gone = func(v *score) {
		for v.newest != 0 {
			s.pop(v)
		}
	}
	return s
}

// add counts a mark of the address that was touched last. When it has too many, the oldest two become one of the older
// time: it errs for the address.
func (s *scores) add(v *score, at stamp, p points, guesses uint16) {
	if v.n == maxMarks {
		s.mergeOldest(v)
	}
	i := s.take()
	s.marks[i] = scoreMark{at, p, guesses, v.newest}
	v.newest = i
	v.n++
}

func (s *scores) take() uint32 {
	if s.free == 0 && len(s.marks) > s.limit {
		s.evict()
	}
	if i := s.free; i != 0 {
		s.free = s.marks[i].older
		return i
	}
	if len(s.marks) == cap(s.marks) { // append would make room for as many again
		more := make([]scoreMark, len(s.marks), min(len(s.marks)*5/4+64, s.limit+1))
		copy(more, s.marks)
		s.marks = more
	}
	s.marks = append(s.marks, scoreMark{})
	return uint32(len(s.marks) - 1)
}

// pop takes the newest mark of an address away.
func (s *scores) pop(v *score) { s.cut(v, &v.newest) }

// cut takes the mark away that a link of the list leads to.
func (s *scores) cut(v *score, link *uint32) {
	i := *link
	*link = s.marks[i].older
	s.marks[i] = scoreMark{older: s.free}
	s.free = i
	v.n--
}

func (s *scores) mergeOldest(v *score) {
	link := &v.newest
	second := &s.marks[*link]
	for s.marks[second.older].older != 0 {
		link = &second.older
		second = &s.marks[*link]
	}
	oldest := s.marks[second.older]
	second.at = oldest.at
	second.points, second.guesses = saturated(second.points, oldest.points), saturated(second.guesses, oldest.guesses)
	s.cut(v, &second.older)
}

func saturated[T ~uint16](a, b T) T { return T(min(uint32(a)+uint32(b), math.MaxUint16)) }

// slide drops the marks that are more than span away from at.
func (s *scores) slide(v *score, at stamp, span time.Duration) {
	for link := &v.newest; *link != 0; {
		if m := &s.marks[*link]; at.near(m.at, span) {
			link = &m.older
		} else {
			s.cut(v, link)
		}
	}
}

// sum is the points, and the guesses, within span of at.
func (s *scores) sum(v *score, at stamp, span time.Duration) (sum points, guesses int) {
	for i := v.newest; i != 0; i = s.marks[i].older {
		if m := &s.marks[i]; at.near(m.at, span) {
			sum = saturated(sum, m.points)
			guesses += int(m.guesses)
		}
	}
	return sum, guesses
}

// forgive takes the newest n guesses of an address back, with their share of the points.
func (s *scores) forgive(v *score, n int) {
	for n > 0 && v.newest != 0 {
		m := &s.marks[v.newest]
		taken := min(n, int(m.guesses))
		m.points -= points(int(m.points) * taken / max(int(m.guesses), 1))
		m.guesses -= uint16(taken)
		if m.guesses > 0 {
			return
		}
		n -= taken
		s.pop(v)
	}
}

// oldestFirst returns a copy of the marks of an address.
func (s *scores) oldestFirst(v *score) []scoreMark {
	list := make([]scoreMark, v.n)
	for n, i := len(list), v.newest; i != 0; i = s.marks[i].older {
		n--
		list[n] = s.marks[i]
	}
	return list
}
