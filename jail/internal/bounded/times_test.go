package bounded

import "testing"

func TestTimes(t *testing.T) {
	t.Parallel()
	const limit = 100
	times := NewTimes[int](limit)
	for i := range 1000 {
		times.Note(i, int64(i))
		times.Note(i, int64(i+1))
		for back := range 1000 {
			at, ok := times.Last(i - back)
			switch {
			case i-back >= 0 && back < limit && (!ok || at != int64(i-back+1)):
				t.Fatalf("of key %d, %d keys ago, it says %d, %t", i-back, back, at, ok)
			case back >= 2*limit && ok:
				t.Fatalf("it remembers key %d, %d keys ago", i-back, back)
			}
		}
	}
	times.Note(999, 5) // the clock was set back
	if at, ok := times.Last(999); !ok || at != 5 {
		t.Errorf("it says %d, %t; want what was noted last", at, ok)
	}
}
