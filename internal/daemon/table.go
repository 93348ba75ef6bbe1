package daemon

import (
	"cmp"
	"container/heap"
	"net/netip"
	"strings"
	"time"

	"github.com/google/btree"

	"exile/internal/control"
)

// table holds every ban that is wanted, in order of (jail, prefix), with the next one to expire at hand. One goroutine
// owns it. A ban that is in it does not change: another takes its place. By value the tree would hold twice the memory,
// because its leaves are half empty.
type table struct {
	bans  *btree.BTreeG[*control.Ban]
	ends  ends
	count map[string]int // by jail
}

func newTable() *table {
	return &table{bans: btree.NewG(32, lessBan), count: make(map[string]int)}
}

func lessBan(a, b *control.Ban) bool {
	if a.Jail != b.Jail {
		return a.Jail < b.Jail
	}
	return a.Prefix.Compare(b.Prefix) < 0
}

func (t *table) len() int { return t.bans.Len() }

func (t *table) get(jail string, p netip.Prefix) (control.Ban, bool) {
	b, ok := t.bans.Get(&control.Ban{Jail: jail, Prefix: p})
	if !ok {
		return control.Ban{}, false
	}
	return *b, true
}

// put adds the ban, or replaces the one of the same jail and prefix.
func (t *table) put(b control.Ban) {
	if _, old := t.bans.ReplaceOrInsert(&b); !old {
		t.count[b.Jail]++
	}
	if b.Until.IsZero() {
		return
	}
	heap.Push(&t.ends, &b)
	if len(t.ends) > 2*t.bans.Len()+64 {
		t.rebuildEnds()
	}
}

// rebuildEnds drops the ends that changed or lifted bans left behind.
func (t *table) rebuildEnds() {
	clear(t.ends)
	t.ends = t.ends[:0]
	t.bans.Ascend(func(b *control.Ban) bool {
		if !b.Until.IsZero() {
			t.ends = append(t.ends, b)
		}
		return true
	})
	heap.Init(&t.ends)
}

func (t *table) remove(jail string, p netip.Prefix) (control.Ban, bool) {
	b, ok := t.bans.Delete(&control.Ban{Jail: jail, Prefix: p})
	if !ok {
		return control.Ban{}, false
	}
	t.count[jail]--
	return *b, true
}

// nextEnd is when the next ban expires, or zero when none does.
func (t *table) nextEnd() time.Time {
	t.ends.dropStale(t)
	if len(t.ends) == 0 {
		return time.Time{}
	}
	return t.ends[0].Until
}

// expire removes the bans that are over at now and returns them.
func (t *table) expire(now time.Time) []control.Ban {
	var over []control.Ban
	for {
		next := t.nextEnd()
		if next.IsZero() || next.After(now) {
			return over
		}
		e := heap.Pop(&t.ends).(*control.Ban)
		if b, ok := t.remove(e.Jail, e.Prefix); ok {
			over = append(over, b)
		}
	}
}

// snapshot is the bans as they were at a moment, for whoever reads them while the table changes.
type snapshot struct{ bans *btree.BTreeG[*control.Ban] }

// snapshot costs the loop next to nothing: what changes in the table later is copied then.
func (t *table) snapshot() snapshot { return snapshot{t.bans.Clone()} }

// page returns the bans that p asks for and the key of the page after it, empty when there is none.
func (s snapshot) page(p control.Page) ([]control.Ban, string) {
	next, limit := "", pageSize(p.Max)
	bans := make([]control.Ban, 0, min(limit, s.bans.Len()))
	jail, prefix := parsePageKey(p.After)
	from := control.Ban{Jail: cmp.Or(jail, p.Jail), Prefix: prefix}
	s.bans.AscendGreaterOrEqual(&from, func(b *control.Ban) bool {
		if p.Jail != "" && b.Jail != p.Jail {
			return false
		}
		if b.Jail == jail && b.Prefix == prefix {
			return true
		}
		if len(bans) == limit {
			next = pageKey(bans[limit-1])
			return false
		}
		bans = append(bans, *b)
		return true
	})
	return bans, next
}

// every calls f for all bans of a jail, or of all jails (""). f must not change the table.
func (t *table) every(jail string, f func(control.Ban)) {
	t.bans.AscendGreaterOrEqual(&control.Ban{Jail: jail}, func(b *control.Ban) bool {
		if jail != "" && b.Jail != jail {
			return false
		}
		f(*b)
		return true
	})
}

func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return 1000
	case limit > 10_000:
		return 10_000
	}
	return limit
}

func pageKey(b control.Ban) string { return b.Jail + " " + b.Prefix.String() }

// parsePageKey reads what pageKey made. What it did not make starts the list anew: the worst that a caller can do to
// itself.
func parsePageKey(s string) (jail string, p netip.Prefix) {
	jail, text, _ := strings.Cut(s, " ")
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return "", netip.Prefix{}
	}
	return jail, p
}

// ends is a heap of bans that end, the next first. Some of them are not in the table any more.
type ends []*control.Ban

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].Until.Before(e[j].Until) }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(*control.Ban)) }

func (e *ends) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	return last
}

// dropStale removes bans from the top that were lifted, or replaced.
func (e *ends) dropStale(t *table) {
	for len(*e) > 0 {
		top := (*e)[0]
		if b, ok := t.bans.Get(top); ok && b == top {
			return
		}
		heap.Pop(e)
	}
}
