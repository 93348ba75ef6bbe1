package bounded

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// Keys that were chosen to collide in one index do not in the next: its seed is its own, and whoever chooses names and
// addresses does not know it.
func TestNobodyMakesKeysCollide(t *testing.T) {
	t.Parallel()
	collide(t, "numbers", HashNumber[uint64], func(i int) uint64 { return uint64(i) })
	collide(t, "networks of IPv4", HashNumber[uint64], func(i int) uint64 { return 0xffff<<32 | uint64(i)<<8 })
	collide(t, "networks of IPv6", HashNumber[uint64], func(i int) uint64 { return uint64(i) << 32 })
	pairs := func() func([2]uint64) uint64 {
		a, b, c := Secret(), Secret(), Secret()
		return func(k [2]uint64) uint64 { return Mix(c, Mix(k[0]^a, k[1]^b)) }
	}
	collide(t, "addresses of IPv4", pairs, func(i int) [2]uint64 { return [2]uint64{0, 0xffff<<32 | uint64(i)} })
	collide(t, "networks of IPv6, as pairs", pairs, func(i int) [2]uint64 { return [2]uint64{0x20010db8<<32 | uint64(i), 0} })
	collide(t, "addresses of IPv6", pairs, func(i int) [2]uint64 { return [2]uint64{uint64(i) * 7, uint64(i)} })
	collide(t, "texts", HashAny[string], strconv.Itoa)
}

// collide chooses keys that collide by one hash, and tries them with another.
func collide[K comparable](t *testing.T, what string, hash func() func(K) uint64, key func(i int) K) {
	const keys = 4096
	known, fresh := hash(), hash()
	var chosen []K
	for i := 1; len(chosen) < keys; i++ {
		if known(key(i))>>58 == 0 { // all in a sixty-fourth of the index
			chosen = append(chosen, key(i))
		}
	}
	longest := func(hash func(K) uint64) (n int) {
		x := newIndex(keys, hash, func(number uint32) K { return chosen[number-1] })
		for i, k := range chosen {
			x.put(hash(k), uint32(i+1))
		}
		for run, i := 0, 0; i < 2*len(x.entries); i++ {
			if run++; x.entries[i%len(x.entries)] == 0 {
				run = 0
			}
			n = max(n, run)
		}
		return n
	}
	if n := longest(known); n < 1000 {
		t.Fatalf("%s: the longest run is %d: the keys do not collide, nothing was tested", what, n)
	}
	if n := longest(fresh); n > 200 {
		t.Errorf("%s: in an index of its own seed the longest run of the chosen keys is %d", what, n)
	}
}

// What an index says is what a map says, also while it grows, of few things and of many.
func TestIndex(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{300, 16384, 1 << 20} {
		const keys = 300
		key := func(number uint32) uint64 { return uint64(number) << 20 }
		x := newIndex(limit, HashNumber[uint64](), key)
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
