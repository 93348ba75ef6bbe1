package adaptive

import (
	"math/rand/v2"
	"slices"
	"testing"

	"exile/jail"
	"exile/jail/internal/netkey"

	"github.com/google/go-cmp/cmp"
)

// The slab does what a list of marks for each address would do, and loses none.
func TestScores(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 5))
	s := newScores(200)
	want := make(map[netkey.Key][]scoreMark)
	for i := range 20_000 {
		host, at := netkey.Key{Low: uint64(random.IntN(40))}, stamp(i/100)
		v := s.Touch(host, int64(at))
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
			s.Delete(host)
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
			s.Delete(host)
			want[host] = nil
		}
	}
	for host, marks := range want {
		if got := marksOf(s, host); s.Evicted() > 0 || !slices.Equal(got, marks) {
			t.Errorf("in the end host %d has %v, want %v", host, got, marks)
		}
	}
	if used := inUse(s); used != s.Used() {
		t.Errorf("%d marks are in lists, %d in use", used, s.Used())
	}
}

func marksOf(s scores, host netkey.Key) []scoreMark {
	v := s.Get(host)
	if v == nil {
		return nil
	}
	return s.OldestFirst(v)
}

func inUse(s scores) (n int) {
	for node := range s.All {
		n += node.Value.Len()
	}
	return n
}

// An address with too many marks keeps all its points; those who were quiet for longest make room for others.
func TestScoresAreBounded(t *testing.T) {
	t.Parallel()
	s := newScores(100)
	v := s.Touch(netkey.Key{Low: 1}, 0)
	for i := range 3 * maxMarks {
		s.count(v, scoreMark{stamp(i), 20, 1})
	}
	if sum, guesses := s.sum(v, scoreMark{}, day); sum != 3*maxMarks*20 || guesses != 3*maxMarks || v.Len() != maxMarks {
		t.Errorf("%d points of %d guesses in %d marks", sum, guesses, v.Len())
	}
	if first := s.OldestFirst(v)[0]; first.at != 0 {
		t.Errorf("the oldest mark is of %d, want 0", first.at)
	}
	for host := range byte(90) {
		v := s.Touch(netkey.Key{Low: uint64(host) + 2}, int64(host))
		for range 8 {
			s.count(v, scoreMark{stamp(host), 100, 1})
		}
	}
	if s.Len() != 200/8 || s.Evicted() != 91-200/8 || inUse(s) != 200 || s.Get(netkey.Key{Low: 91}) == nil || s.Get(netkey.Key{Low: 2}) != nil {
		t.Errorf("%d addresses left, %d forgotten, %d marks", s.Len(), s.Evicted(), inUse(s))
	}
}

// Who is banned by the first guess takes the place of nobody who is counted.
func TestBannedAtOnceNeedsNoRoom(t *testing.T) {
	t.Parallel()
	s := newScene()
	for i := range s.cfg.MaxAddrs {
		s.fail(manyAddr(i), "alice", false)
	}
	if len(s.bans) > 0 || s.Failing() != s.cfg.MaxAddrs {
		t.Fatalf("%d bans, %d addresses with points, want none and %d", len(s.bans), s.Failing(), s.cfg.MaxAddrs)
	}
	for i := range 100 {
		s.bans = s.Observe(jail.Attempt{Time: s.now, Addr: manyAddr(-1 - i), User: "alice", Guesses: 5}, s.bans)
	}
	if len(s.bans) < 100 || s.Evicted() > 0 || s.Failing() != s.cfg.MaxAddrs {
		t.Errorf("%d bans; %d of those with points were forgotten, %d are left", len(s.bans), s.Evicted(), s.Failing())
	}
}
