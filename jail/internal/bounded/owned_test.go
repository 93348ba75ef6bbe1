package bounded

import "testing"

// A key that two users share stays with the one who has fewer.
func TestOwnedKeys(t *testing.T) {
	t.Parallel()
	mallory, alice, bob := Owner{1, 7}, Owner{2, 7}, Owner{3, 9}
	s := NewOwned[int, int](4, HashAny[int](), nil)
	for k, by := range []Owner{mallory, mallory, alice, mallory} {
		s.Touch(k, int64(k), by)
	}
	s.Touch(0, 4, alice) // who has one, while mallory has three
	s.Touch(2, 5, mallory)
	s.Touch(4, 6, bob) // mallory and alice have two each: the oldest goes
	if s.Get(1) != nil || s.Get(0) == nil || s.Get(2) == nil {
		t.Errorf("kept: 0 %t, 1 %t, 2 %t", s.Get(0) != nil, s.Get(1) != nil, s.Get(2) != nil)
	}
	for k := range 5 {
		s.Delete(k)
	}
	if len(s.keys) != 0 {
		t.Errorf("%d counts of nothing are left", len(s.keys))
	}
}

// Putting keys in allocates nothing where the user and the network have been there.
func TestOwnedAllocatesNothing(t *testing.T) {
	s := NewOwned[int, int](64, HashAny[int](), nil)
	k := 0
	add := func() { k++; s.Touch(k, int64(k), Owner{1, 1}) }
	for range 128 {
		add()
	}
	if n := testing.AllocsPerRun(100, add); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
