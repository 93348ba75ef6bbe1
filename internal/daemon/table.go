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
// owns it.
type table struct {
	bans  *btree.BTreeG[control.Ban]
	ends  ends
	count map[string]int // by jail
}

// end is when a ban expires. It may be out of date: the table says.
type end struct {
	at     time.Time
	jail   string
	prefix netip.Prefix
}

func newTable() *table {
	return &table{bans: btree.NewG(32, lessBan), count: make(map[string]int)}
}

func lessBan(a, b control.Ban) bool {
	if a.Jail != b.Jail {
		return a.Jail < b.Jail
	}
	return a.Prefix.Compare(b.Prefix) < 0
}

func (t *table) len() int { return t.bans.Len() }

func (t *table) get(jail string, p netip.Prefix) (control.Ban, bool) {
	return t.bans.Get(control.Ban{Jail: jail, Prefix: p})
}

// put adds the ban, or replaces the one of the same jail and prefix.
func (t *table) put(b control.Ban) {
	if _, old := t.bans.ReplaceOrInsert(b); !old {
		t.count[b.Jail]++
	}
	if b.Until.IsZero() {
		return
	}
	heap.Push(&t.ends, end{b.Until, b.Jail, b.Prefix})
	if len(t.ends) > 2*t.bans.Len()+64 {
		t.rebuildEnds()
	}
}

// rebuildEnds drops the ends that changed or lifted bans left behind.
func (t *table) rebuildEnds() {
	t.ends = t.ends[:0]
	t.every("", func(b control.Ban) {
		if !b.Until.IsZero() {
			t.ends = append(t.ends, end{b.Until, b.Jail, b.Prefix})
		}
	})
	heap.Init(&t.ends)
}

func (t *table) remove(jail string, p netip.Prefix) (control.Ban, bool) {
	b, ok := t.bans.Delete(control.Ban{Jail: jail, Prefix: p})
	if ok {
		t.count[jail]--
	}
	return b, ok
}

// nextEnd is when the next ban expires, or zero when none does.
func (t *table) nextEnd() time.Time {
	t.ends.dropStale(t)
	if len(t.ends) == 0 {
		return time.Time{}
	}
	return t.ends[0].at
}

// expire removes the bans that are over at now and returns them.
func (t *table) expire(now time.Time) []control.Ban {
	var over []control.Ban
	for {
		next := t.nextEnd()
		if next.IsZero() || next.After(now) {
			return over
		}
		e := heap.Pop(&t.ends).(end)
		if b, ok := t.remove(e.jail, e.prefix); ok {
			over = append(over, b)
		}
	}
}

// page returns the bans that p asks for and the key of the page after it, empty when there is none.
func (t *table) page(p control.Page) ([]control.Ban, string) {
	var bans []control.Ban
	next, limit := "", pageSize(p.Max)
	jail, prefix := parsePageKey(p.After)
	from := control.Ban{Jail: cmp.Or(jail, p.Jail), Prefix: prefix}
	t.bans.AscendGreaterOrEqual(from, func(b control.Ban) bool {
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
		bans = append(bans, b)
		return true
	})
	return bans, next
}

// every calls f for all bans of a jail, or of all jails (""). f must not change the table.
func (t *table) every(jail string, f func(control.Ban)) {
	t.bans.AscendGreaterOrEqual(control.Ban{Jail: jail}, func(b control.Ban) bool {
		if jail != "" && b.Jail != jail {
			return false
		}
		f(b)
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

// ends is a heap of ends, the next first.
type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }

func (e *ends) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// dropStale removes ends from the top whose ban was lifted, or has another end now.
func (e *ends) dropStale(t *table) {
	for len(*e) > 0 {
		top := (*e)[0]
		if b, ok := t.get(top.jail, top.prefix); ok && b.Until.Equal(top.at) {
			return
		}
		heap.Pop(e)
	}
}
