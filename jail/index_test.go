package jail

import "testing"

// Keys that were chosen to collide in one index do not in the next: its seed is its own, and whoever chooses names and
// addresses does not know it.
func TestNobodyMakesKeysCollide(t *testing.T) {
	t.Parallel()
	const keys, buckets = 4096, 8192
	known := newIndex(keys, func(number uint32) netID { return netID(number) })
	var chosen []netID
	for k := netID(1); len(chosen) < keys; k++ {
		if known.hash(k)%buckets < buckets/64 { // all in a sixty-fourth of the index
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
			x.put(k, uint32(i+1))
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
