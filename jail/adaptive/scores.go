package adaptive

import (
	"math"
	"time"

	"exile/jail/internal/bounded"
	"exile/jail/internal/netkey"
)

// points are hundredths of a point: whole numbers, so that sums are exact.
type points uint16

func hundredths(f float64) points { return points(min(max(f*100+0.5, 0), math.MaxUint16)) }

// scores are the points of addresses. Ten points ban, so only an address whose points weigh less, because of a login, has
// more than ten marks.
type scores struct {
	*bounded.Marks[netkey.Key, scoreMark]
}

type scoreMark struct {
	at      stamp
	points  points
	guesses uint16
}

const (
	// maxMarks has room for ten points of a known address, one fifth at a time.
	maxMarks = 64
	// marksEach is for how many marks of each address there is room, if all have as many.
	marksEach = 2
)

func newScores(hosts int) scores {
	return scores{bounded.NewMarks[netkey.Key, scoreMark](hosts, max(marksEach*hosts, 2*maxMarks), netkey.Hash())}
}

// count adds a mark of the address that was touched last.
func (s scores) count(v *bounded.List, m scoreMark) {
	s.makeRoom(v)
	s.Add(v, m)
}

// makeRoom makes room for one mark more of an address. If it has too many, the oldest two become one, with the older time:
// the error is in favour of the address.
func (s scores) makeRoom(v *bounded.List) {
	if v.Len() < maxMarks {
		return
	}
	dropped, m := s.DropOldest(v)
	*m = scoreMark{dropped.at, saturated(m.points, dropped.points), saturated(m.guesses, dropped.guesses)}
}

func saturated[T ~uint16](a, b T) T { return T(min(uint32(a)+uint32(b), math.MaxUint16)) }

// slide drops the marks that are more than span away from at.
func (s scores) slide(v *bounded.List, at stamp, span time.Duration) {
	s.Keep(v, func(m *scoreMark) bool { return at.near(m.at, span) })
}

// sum is the points, and the guesses, of the newest mark and of those of an address that are within span of it. v may be
// nil: the address has none.
func (s scores) sum(v *bounded.List, newest scoreMark, span time.Duration) (sum points, guesses int) {
	sum, guesses = newest.points, int(newest.guesses)
	if v == nil {
		return sum, guesses
	}
	for m := range s.NewestFirst(v) {
		if newest.at.near(m.at, span) {
			sum = saturated(sum, m.points)
			guesses += int(m.guesses)
		}
	}
	return sum, guesses
}

// forgive takes the newest n guesses of an address back, with their share of the points.
func (s scores) forgive(v *bounded.List, n int) {
	for n > 0 && v.Len() > 0 {
		m := s.Newest(v)
		taken := min(n, int(m.guesses))
		m.points -= points(int(m.points) * taken / max(int(m.guesses), 1))
		m.guesses -= uint16(taken)
		if m.guesses > 0 {
			return
		}
		n -= taken
		s.Pop(v)
	}
}
