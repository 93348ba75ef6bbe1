package jail

import (
	"math"
	"time"
)

// points are hundredths of a point: whole numbers, so that sums are exact.
type points uint16

func hundredths(f float64) points { return points(min(max(math.Round(f*100), 0), math.MaxUint16)) }

// scores are the points of addresses. Ten points ban, so that only an address whose points count less, because of a login,
// has more than ten.
type scores struct{ *lists[key, scoreMark] }

type scoreMark struct {
	at      stamp
	points  points
	guesses uint16
}

const (
	// maxMarks holds ten points of the fifths that known addresses get, one by one.
	maxMarks = 64
	// marksEach is for how many marks of each address there is room, if all have as many.
	marksEach = 2
)

func newScores(hosts int) scores {
	return scores{newLists[key, scoreMark](hosts, max(marksEach*hosts, 2*maxMarks))}
}

// count adds a mark of the address that was touched last. When it has too many, the oldest two become one of the older
// time: it errs for the address.
func (s scores) count(v *list, m scoreMark) {
	if v.n == maxMarks {
		s.mergeOldest(v)
	}
	s.add(v, m)
}

func (s scores) mergeOldest(v *list) {
	second, last := s.lastLinks(v)
	m, oldest := &s.marks[*second].mark, s.marks[*last].mark
	*m = scoreMark{oldest.at, saturated(m.points, oldest.points), saturated(m.guesses, oldest.guesses)}
	s.cut(v, last)
}

func saturated[T ~uint16](a, b T) T { return T(min(uint32(a)+uint32(b), math.MaxUint16)) }

// slide drops the marks that are more than span away from at.
func (s scores) slide(v *list, at stamp, span time.Duration) {
	for to := &v.newest; *to != 0; {
		if l := &s.marks[*to]; at.near(l.mark.at, span) {
			to = &l.older
		} else {
			s.cut(v, to)
		}
	}
}

// sum is the points, and the guesses, within span of at.
func (s scores) sum(v *list, at stamp, span time.Duration) (sum points, guesses int) {
	for i := v.newest; i != 0; i = s.marks[i].older {
		if m := &s.marks[i].mark; at.near(m.at, span) {
			sum = saturated(sum, m.points)
			guesses += int(m.guesses)
		}
	}
	return sum, guesses
}

// forgive takes the newest n guesses of an address back, with their share of the points.
func (s scores) forgive(v *list, n int) {
	for n > 0 && v.newest != 0 {
		m := &s.marks[v.newest].mark
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
