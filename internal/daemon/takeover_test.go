package daemon

import (
	"testing"

	"exile/internal/state"
	"exile/journal"
)

// TestTakeover: a new source begins where the one was that it takes over from; one that has a position of its own keeps it.
func TestTakeover(t *testing.T) {
	t.Parallel()
	at := func(n uint64) journal.Position { return journal.Position{Seqnum: n} }
	from := func(p journal.Position) journal.Position { return at(p.Seqnum + 100) }
	marks := map[string]state.Mark{"journal": {Position: at(1)}, "mixed:old": {Position: at(2)}, "empty": {}}
	for _, c := range []struct {
		of   Source
		want uint64
	}{
		{Source{Name: "mixed:new", Former: "journal", From: from}, 101},
		{Source{Name: "mixed:old", Former: "journal", From: from}, 2},
		{Source{Name: "mixed:new", Former: "gone", From: from}, 0},
		{Source{Name: "mixed:new", Former: "empty", From: from}, 0},
		{Source{Name: "mixed:new"}, 0},
		{Source{Name: "journal"}, 1},
	} {
		if got := markOf(c.of, marks).Position; got != at(c.want) {
			t.Errorf("%s after %q: %v, want %d", c.of.Name, c.of.Former, got, c.want)
		}
	}
}
