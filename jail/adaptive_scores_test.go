package jail

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The slab does what a list of marks for each address would do, and loses none.
func TestScores(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 5))
	s := newScores(200)
	want := make(map[key][]scoreMark)
	for i := range 20_000 {
		host, at := key{byte(random.IntN(40))}, stamp(i/100)
		v := s.touch(host, int64(at))
		marks := want[host]
		switch random.IntN(12) {
		case 0:
			s.slide(v, at, 5e9)
			marks = slices.DeleteFunc(marks, func(m scoreMark) bool { return !at.near(m.at, 5e9) })
		case 1:
			s.forgive(v, 2)
			for n := 2; n > 0 && len(marks) > 0; n-- {
				marks = marks[:len(marks)-1]
			}
		case 2:
			s.delete(host)
			marks = nil
		default:
			s.count(v, scoreMark{at, points(i % 7), 1})
			marks = append(marks, scoreMark{at: at, points: points(i % 7), guesses: 1})
		}
		want[host] = marks
		if got := marksOf(s, host); !slices.Equal(got, marks) {
			t.Fatalf("step %d, host %d (-want +got):\n%s", i, host, cmp.Diff(marks, got, cmp.AllowUnexported(scoreMark{})))
		}
		if len(marks) > 6 {
			s.delete(host)
			want[host] = nil
		}
	}
	for host, marks := range want {
		if got := marksOf(s, host); s.evicted > 0 || !slices.Equal(got, marks) {
			t.Errorf("in the end host %d has %v, want %v", host, got, marks)
		}
	}
	if used := inUse(s); used+spare(s) != len(s.marks)-1 {
		t.Errorf("%d marks in use and %d free, of %d", used, spare(s), len(s.marks)-1)
	}
}

func marksOf(s scores, host key) []scoreMark {
	v := s.get(host)
	if v == nil {
		return nil
	}
	return s.oldestFirst(v)
}

func inUse(s scores) (n int) {
	for node := range s.all {
		n += int(node.value.n)
	}
	return n
}

func spare(s scores) (n int) {
	for i := s.free; i != 0; i = s.marks[i].older {
		n++
	}
	return n
}

// An address with too many marks keeps all its points; those who were quiet for longest make room for others.
func TestScoresAreBounded(t *testing.T) {
	t.Parallel()
	s := newScores(100)
	v := s.touch(key{1}, 0)
	for i := range 3 * maxMarks {
		s.count(v, scoreMark{stamp(i), 20, 1})
	}
	if sum, guesses := s.sum(v, 0, day); sum != 3*maxMarks*20 || guesses != 3*maxMarks || v.n != maxMarks {
		t.Errorf("%d points of %d guesses in %d marks", sum, guesses, v.n)
	}
	if first := s.oldestFirst(v)[0]; first.at != 0 {
		t.Errorf("the oldest mark is of %d, want 0", first.at)
	}
	for host := range byte(90) {
		v := s.touch(key{host + 2}, int64(host))
		for range 8 {
			s.count(v, scoreMark{stamp(host), 100, 1})
		}
	}
	if s.len() != 200/8 || s.evicted != 91-200/8 || inUse(s) != 200 || s.get(key{91}) == nil || s.get(key{2}) != nil {
		t.Errorf("%d addresses left, %d forgotten, %d marks", s.len(), s.evicted, inUse(s))
	}
}
