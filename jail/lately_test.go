package jail

import "testing"

func TestLately(t *testing.T) {
	t.Parallel()
	const limit = 100
	l := newLately(limit)
	k := func(i int) key { return key{byte(i), byte(i >> 8)} }
	for i := range 1000 {
		l.note(k(i), int64(i))
		l.note(k(i), int64(i+1))
		for back := range 1000 {
			at, ok := l.last(k(i - back))
			switch {
			case i-back >= 0 && back < limit && (!ok || at != int64(i-back+1)):
				t.Fatalf("of key %d, %d keys ago, it says %d, %t", i-back, back, at, ok)
			case back >= 2*limit && ok:
				t.Fatalf("it remembers key %d, %d keys ago", i-back, back)
			}
		}
	}
	l.note(k(999), 5) // a clock that was put back
	if at, ok := l.last(k(999)); !ok || at != 5 {
		t.Errorf("it says %d, %t; want what was noted last", at, ok)
	}
}
