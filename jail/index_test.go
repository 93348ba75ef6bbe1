package jail

import (
	"math/rand/v2"
	"testing"
)

// Keys that were chosen to collide in one index do not in the next: its seed is its own, and whoever chooses names and
// addresses does not know it.
func TestNobodyMakesKeysCollide(t *testing.T) {
	t.Parallel()
	const keys = 4096
	known := newIndex(keys, func(number uint32) netID { return netID(number) })
	var chosen []netID
	for k := netID(1); len(chosen) < keys; k++ {
		if known.hash(k)>>58 == 0 { // all in a sixty-fourth of the index
			chosen = append(chosen, k)
		}
	}
	longest := func(x *index[netID]) (n int) {
		for run, i := 0, 0; i < 2*len(x.entries); i++ {
			if run++; x.entries[i%len(x.entries)] == 0 {
				run = 0
			}
			n = max(n, run)
		}
		return n
	}
	fill := func(x *index[netID]) *index[netID] {
		x.key = func(number uint32) netID { return chosen[number-1] }
		for i, k := range chosen {
			x.put(x.hash(k), uint32(i+1))
		}
		return x
	}
	if n := longest(fill(&known)); n < 1000 {
		t.Fatalf("the longest run is %d: the keys do not collide, nothing was tested", n)
	}
	fresh := newIndex(keys, func(uint32) netID { return 0 })
	if n := longest(fill(&fresh)); n > 200 {
		t.Errorf("in an index of its own seed the longest run of the chosen keys is %d", n)
	}
}

// What an index says is what a map says, also while it grows, of few things and of many.
func TestIndex(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{300, 16384, 1 << 20} {
		const keys = 300
		key := func(number uint32) netID { return netID(number) << 20 }
		x := newIndex(limit, key)
		random, there := rand.New(rand.NewPCG(1, uint64(limit))), map[uint32]bool{}
		for step := range 20_000 {
			n := uint32(1 + random.IntN(keys))
			if h := x.hash(key(n)); there[n] {
				x.remove(h, n)
			} else {
				x.put(h, n)
			}
			there[n] = !there[n]
			if step%100 > 0 {
				continue
			}
			for n := uint32(1); n <= keys; n++ {
				if got := x.find(key(n), x.hash(key(n))); (got == n) != there[n] || got != n && got != 0 {
					t.Fatalf("limit %d, step %d: key %d has number %d, is there: %t", limit, step, n, got, there[n])
				}
			}
		}
	}
}
