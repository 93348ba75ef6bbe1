package merge

import (
	"testing"

	"exile/journal"
)

// TestFirst: a source of several that takes over from a single one goes on there with its first part, and begins with its others.
func TestFirst(t *testing.T) {
	t.Parallel()
	at := journal.Position{SeqnumID: journal.ID{1}, Seqnum: 7, Boot: journal.ID{2}, Monotonic: 3, Realtime: 4, XorHash: 5}
	all, err := split(First(at), 3)
	if err != nil || all[0] != at || !all[1].IsZero() || !all[2].IsZero() {
		t.Errorf("%v, %v", all, err)
	}
	if p := First(journal.Position{}); !p.IsZero() {
		t.Errorf("of none: %v", p)
	}
}
