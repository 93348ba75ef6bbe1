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
	bans  *btree.BTreeG[*entry]
	ends  [classes]ends
	fresh []*entry       // the newest, oldest first; some are not in the table any more
	most  int            // how many bans it is to hold; 0: any number
	count map[string]int // by jail
	wide  [129]int       // by the length of the prefix
}

// class says which bans are lifted first when there are too many: those of the least class.
type class uint8

const (
	made    class = iota // by a jail
	byHand               // by somebody
	newest               // the last ones, whoever made them
	classes = iota
)

// freshShare is the part of a full table that is for the newest bans: among long ones a short one would otherwise be
// lifted by the next.
const freshShare = 16

// entry is a ban in the table.
type entry struct {
	control.Ban
	class class
	end   int // its place among the ends of its class
}

func newTable() *table {
	return &table{bans: btree.NewG(32, lessBan), count: make(map[string]int)}
}

func lessBan(a, b *entry) bool {
	if a.Jail != b.Jail {
		return a.Jail < b.Jail
	}
	return a.Prefix.Compare(b.Prefix) < 0
}

// keyOf is an entry to look for.
func keyOf(jail string, p netip.Prefix) *entry {
	return &entry{Ban: control.Ban{Jail: jail, Prefix: p}}
}

func (t *table) len() int { return t.bans.Len() }

func (t *table) get(jail string, p netip.Prefix) (control.Ban, bool) {
	e, ok := t.bans.Get(keyOf(jail, p))
	if !ok {
		return control.Ban{}, false
	}
	return e.Ban, true
}

// put adds the ban, or replaces the one of the same jail and prefix.
func (t *table) put(b control.Ban) {
	e := &entry{Ban: b, class: newest}
	if old, replaced := t.bans.ReplaceOrInsert(e); replaced {
		t.drop(old)
	} else {
		t.count[b.Jail]++
		t.wide[b.Prefix.Bits()]++
	}
	heap.Push(&t.ends[newest], e)
	t.fresh = append(t.fresh, e)
	t.age()
}

// bound sets how many bans the table is to hold; 0: any number. What is too much stays until it is evicted.
func (t *table) bound(most int) {
	t.most = most
	t.age()
}

// age moves the oldest of the newest to the others, where there are more of them than their share.
func (t *table) age() {
	for len(t.fresh) > t.most/freshShare {
		e := t.fresh[0]
		t.fresh[0] = nil
		t.fresh = t.fresh[1:]
		if !t.has(e) {
			continue
		}
		t.drop(e)
		e.class = made
		if e.Origin == control.OriginManual {
			e.class = byHand
		}
		heap.Push(&t.ends[e.class], e)
	}
}

// drop takes an entry out of the ends.
func (t *table) drop(e *entry) { heap.Remove(&t.ends[e.class], e.end) }

// full reports whether the table has more bans than it is to hold.
func (t *table) full() bool { return t.most > 0 && t.len() > t.most }

// surplus is a ban of a full table that is to make room: the one that ends soonest, of the first class that has any.
func (t *table) surplus() (control.Ban, bool) {
	if !t.full() {
		return control.Ban{}, false
	}
	for _, ends := range t.ends {
		if len(ends) > 0 {
			return ends[0].Ban, true
		}
	}
	return control.Ban{}, false
}

func (t *table) remove(jail string, p netip.Prefix) (control.Ban, bool) {
	e, ok := t.bans.Delete(keyOf(jail, p))
	if !ok {
		return control.Ban{}, false
	}
	t.drop(e)
	t.count[jail]--
	t.wide[p.Bits()]--
	return e.Ban, true
}

// nextEnd is when the next ban expires, or zero when none does.
func (t *table) nextEnd() time.Time {
	if next := t.next(); next != nil {
		return next.Until
	}
	return time.Time{}
}

// next is the ban that ends first; one for ever where there are no others, and nil where there is none.
func (t *table) next() *entry {
	var next *entry
	for _, ends := range t.ends {
		if len(ends) > 0 && (next == nil || endsBefore(ends[0], next)) {
			next = ends[0]
		}
	}
	return next
}

// expire removes the bans that are over at now, at most limit of them, and returns them. Those that ended first come first.
func (t *table) expire(now time.Time, limit int) []control.Ban {
	var over []control.Ban
	for len(over) < limit && t.overdue(now) {
		next := t.next()
		t.remove(next.Jail, next.Prefix)
		over = append(over, next.Ban)
	}
	return over
}

// overdue reports whether a ban is over at now.
func (t *table) overdue(now time.Time) bool {
	next := t.nextEnd()
	return !next.IsZero() && !next.After(now)
}

// snapshot is the bans as they were at a moment, for whoever reads them while the table changes.
type snapshot struct{ bans *btree.BTreeG[*entry] }

// snapshot costs the loop next to nothing: what changes in the table later is copied then.
func (t *table) snapshot() snapshot { return snapshot{t.bans.Clone()} }

// page returns the bans that p asks for and the key of the page after it, empty when there is none.
func (s snapshot) page(p control.Page) ([]control.Ban, string) {
	next, limit := "", pageSize(p.Max)
	bans := make([]control.Ban, 0, min(limit, s.bans.Len()))
	jail, prefix := parsePageKey(p.After)
	s.bans.AscendGreaterOrEqual(keyOf(cmp.Or(jail, p.Jail), prefix), func(b *entry) bool {
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
		bans = append(bans, b.Ban)
		return true
	})
	return bans, next
}

// every calls f for all bans of a jail, or of all jails (""). f must not change the table.
func (t *table) every(jail string, f func(control.Ban)) {
	t.bans.AscendGreaterOrEqual(keyOf(jail, netip.Prefix{}), func(b *entry) bool {
		if jail != "" && b.Jail != jail {
			return false
		}
		f(b.Ban)
		return true
	})
}

// within returns the bans of a jail that are of something inside p, but not of p itself. It looks at no others.
func (t *table) within(jail string, p netip.Prefix) []control.Ban {
	var bans []control.Ban
	t.bans.AscendGreaterOrEqual(keyOf(jail, p), func(b *entry) bool {
		if b.Jail != jail || !p.Contains(b.Prefix.Addr()) {
			return false
		}
		if b.Prefix != p {
			bans = append(bans, b.Ban)
		}
		return true
	})
	return bans
}

// has reports whether e is in the table, and no other ban in its place.
func (t *table) has(e *entry) bool {
	now, ok := t.bans.Get(e)
	return ok && now == e
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

// ends is a heap of bans, the one that ends next first. Each knows its place, so that one that is lifted leaves nothing behind.
type ends []*entry

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return endsBefore(e[i], e[j]) }

// endsBefore puts those for ever last, and of them the oldest first.
func endsBefore(a, b *entry) bool {
	if a.Until.IsZero() && b.Until.IsZero() {
		return a.Since.Before(b.Since)
	}
	return b.Until.IsZero() || !a.Until.IsZero() && a.Until.Before(b.Until)
}

func (e ends) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].end, e[j].end = i, j
}

// Push implements heap.Interface.
func (e *ends) Push(x any) {
	added := x.(*entry)
	added.end = len(*e)
	*e = append(*e, added)
}

// Pop implements heap.Interface.
func (e *ends) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	return last
}
