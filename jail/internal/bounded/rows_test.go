package bounded

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRowsAgainstList runs random operations on rows and on a plain list of keys, oldest first.
func TestRowsAgainstList(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const limit = 300
	rows := NewRows[uint64, int64](limit, 5, HashNumber[uint64]())
	var list []uint64
	var evicted uint64
	for step := range 200_000 {
		k := uint64(random.Uint32N(500))
		i := slices.Index(list, k)
		id, found := rows.Find(k)
		if found != (i >= 0) {
			t.Fatalf("step %d: found %v, want %v", step, found, i >= 0)
		}
		switch {
		case random.Uint32N(4) == 0 && found:
			rows.Remove(id)
			list = slices.Delete(list, i, i+1)
		case found:
			rows.Touch(k)
			list = append(slices.Delete(list, i, i+1), k)
		default:
			if len(list) == limit {
				list = list[1:]
				evicted++
			}
			n, _ := rows.At(rows.Touch(k))
			if *n != 0 {
				t.Fatalf("step %d: a new row has %d marks", step, *n)
			}
			*n = 1
			list = append(list, k)
		}
	}
	var got []uint64
	for id := range rows.All {
		got = append(got, rows.Key(id))
	}
	slices.Reverse(got)
	if diff := cmp.Diff(list, got); diff != "" {
		t.Errorf("keys, oldest first (-want +got):\n%s", diff)
	}
	if rows.Len() != len(list) || rows.Evicted() != evicted || evicted == 0 {
		t.Errorf("used %d, evicted %d, want %d and %d, not 0", rows.Len(), rows.Evicted(), len(list), evicted)
	}
}
