package tally

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// numbered is a top of numbers, and the truth.
type numbered struct {
	top   *top[int]
	truth map[int]uint64
	sum   uint64
}

func (n *numbered) add(k int, times uint64) {
	n.truth[k] += times
	n.sum += times
	if at := n.top.add(mix(uint64(k)+n.top.seed), times); at != nil {
		*at = k
	}
}

// check compares what a top says with the truth.
func (n *numbered) check(t *testing.T) {
	t.Helper()
	listed := make(map[int]bool)
	for _, c := range n.top.counts() {
		listed[c.key] = true
		if is := n.truth[c.key]; is < c.atLeast || is > c.atMost {
			t.Fatalf("%d has %d, said to be %d to %d", c.key, is, c.atLeast, c.atMost)
		}
	}
	if len(listed) != n.top.used || n.top.used > n.top.size {
		t.Fatalf("%d keys, of which %d differ; at most %d", n.top.used, len(listed), n.top.size)
	}
	for k, is := range n.truth {
		if !listed[k] && is > n.top.others {
			t.Fatalf("%d has %d and is not listed, others are said to have at most %d", k, is, n.top.others)
		}
	}
}

// shorten goes on with the first keys only, as after a day was kept.
func (n *numbered) shorten(most int) {
	list, others := n.top.first(most, func(a, b int) int { return a - b })
	again := newTop[int](n.top.size)
	for _, c := range list {
		*again.add(mix(uint64(c.key)+again.seed), c.atLeast) = c.key
	}
	again.lost, again.others = n.top.lost, others
	n.top = again
}

// The bounds hold for any sequence, also when only the first keys were kept in between; and without that the error is at most 2n/size.
func TestTopBounds(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		n := numbered{top: newTop[int](1 + r.IntN(40)), truth: make(map[int]uint64)}
		keys, shortens := 1+r.IntN(200), r.IntN(2) == 0
		for range r.IntN(3000) {
			x := r.Float64()
			n.add(int(float64(keys)*x*x*x), uint64(1+r.IntN(3)))
			if shortens && r.IntN(300) == 0 {
				n.shorten(1 + r.IntN(n.top.size))
				n.check(t)
			}
		}
		n.check(t)
		if bound := 2 * n.sum / uint64(n.top.size); !shortens && n.top.others > bound {
			t.Fatalf("%d may be missed of %d with %d keys, want at most %d", n.top.others, n.sum, n.top.size, bound)
		}
	}
}

// Ten million different keys do not make it larger, and do not hide who has more than the share.
func TestTopIsBounded(t *testing.T) {
	t.Parallel()
	n := numbered{top: newTop[int](256), truth: make(map[int]uint64)}
	const many = 10_000_000
	for i := range many {
		if i%100 == 0 {
			n.add(-1, 1)
			continue
		}
		if at := n.top.add(mix(uint64(i)+n.top.seed), 1); at != nil {
			*at = i
		}
	}
	if len(n.top.slots) != 512 || n.top.used > 256 {
		t.Errorf("%d keys in a table of %d", n.top.used, len(n.top.slots))
	}
	list, others := n.top.first(1, func(a, b int) int { return a - b })
	if c := list[0]; c.key != -1 || c.atLeast > many/100 || c.atMost < many/100 || others > 2*many/256 {
		t.Errorf("the first is %+v, want -1 around %d; others have up to %d", c, many/100, others)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	long := fmt.Sprintf("%061d", 0)
	for text, want := range map[string]string{
		"":                  "",
		"root":              "root",
		"\xff\x00":          "\xff\x00",
		long + "1":          long + "1",
		long + "12":         long + "1…",
		long + "€":          long + "…",
		long + "\xe2\x82xx": long + "…",
	} {
		if got := wordOf(text).String(); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	names := newTop[word](4)
	addWord(names, "", 1)
	addWord(names, long+"1", 1)
	addWord(names, long+"12", 1)
	addWord(names, long+"13", 1)
	if names.used != 2 {
		t.Errorf("%d names, want 2: of the longer ones only the beginning counts", names.used)
	}
}
