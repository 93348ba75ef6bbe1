package daemon

import (
	"cmp"
	"container/heap"
	"net/netip"
	"strings"
	"time"
	"unique"

	"github.com/google/btree"

	"exile/internal/control"
)

// table holds every ban that is wanted, in order of (jail, prefix), with the next one to expire at hand. One goroutine
// owns it. A ban that is in it does not change: another takes its place. By value the tree would hold twice the memory,
// because its leaves are half empty.
type table struct {
	bans   *btree.BTreeG[*entry]
	ends   [classes]ends
	fresh  []*entry       // the newest, oldest first; some are not in the table any more
	most   int            // how many bans it is to hold; 0: any number
	count  map[string]int // by jail
	groups map[string]int // of these, those of groups
	wide   [129]int       // by the length of the prefix
	probe  entry          // to look for; one is enough, as nobody keeps it
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
	place
	since, until      stamp
	reason            unique.Handle[string]
	origin            unique.Handle[string]
	failures, offence int32
	end               int32 // its place among the ends of its class; -1: it is in the table no more
	class             class
}

func newEntry(b *control.Ban) *entry {
	return &entry{
		place: placeOf(b.Jail, b.Prefix).keep(), since: stampOf(b.Since), until: endOf(b.Until), failures: clamp(b.Failures),
		offence: clamp(b.Offence), origin: unique.Make(string(b.Origin)), reason: unique.Make(b.Reason), class: newest,
	}
}

// ban is the entry as others see it.
func (e *entry) ban() control.Ban {
	return control.Ban{
		Jail: e.jail, Prefix: e.prefix(), Since: e.since.time(), Until: e.until.time(), Failures: int(e.failures),
		Offence: int(e.offence), Origin: control.Origin(e.origin.Value()), Reason: e.reason.Value(),
	}
}

func newTable() *table {
	return &table{bans: btree.NewG(32, lessBan), count: make(map[string]int), groups: make(map[string]int)}
}

func lessBan(a, b *entry) bool { return a.compare(&b.place) < 0 }

// keyOf is an entry to look for.
func keyOf(jail string, p netip.Prefix) *entry { return &entry{place: placeOf(jail, p)} }

// at is keyOf for the owner of the table, until it is called again.
func (t *table) at(jail string, p netip.Prefix) *entry {
	t.probe.place = placeOf(jail, p)
	return &t.probe
}

func (t *table) len() int { return t.bans.Len() }

func (t *table) get(jail string, p netip.Prefix) (control.Ban, bool) {
	e, ok := t.bans.Get(t.at(jail, p))
	if !ok {
		return control.Ban{}, false
	}
	return e.ban(), true
}

// until returns when a ban ends and where it came from.
func (t *table) until(jail string, p netip.Prefix) (time.Time, control.Origin, bool) {
	e, ok := t.bans.Get(t.at(jail, p))
	if !ok {
		return time.Time{}, "", false
	}
	return e.until.time(), control.Origin(e.origin.Value()), true
}

// put adds the ban, or replaces the one of the same jail and prefix.
func (t *table) put(b control.Ban) {
	e := newEntry(&b)
	if old, replaced := t.bans.ReplaceOrInsert(e); replaced {
		t.drop(old)
		t.tally(old, -1)
	}
	t.tally(e, 1)
	heap.Push(&t.ends[newest], e)
	t.fresh = append(t.fresh, e)
	t.age()
}

// tally counts a ban in or out.
func (t *table) tally(e *entry, n int) {
	t.count[e.jail] += n
	t.wide[e.bits] += n
	if e.origin.Value() == string(control.OriginGroup) {
		t.groups[e.jail] += n
	}
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
		if !e.there() {
			continue
		}
		t.drop(e)
		e.class = made
		if e.origin.Value() == string(control.OriginManual) {
			e.class = byHand
		}
		heap.Push(&t.ends[e.class], e)
	}
}

// drop takes an entry out of the ends.
func (t *table) drop(e *entry) { heap.Remove(&t.ends[e.class], int(e.end)) }

// full reports whether the table has more bans than it is to hold.
func (t *table) full() bool { return t.most > 0 && t.len() > t.most }

// surplus is a ban of a full table that is to make room: the one that ends soonest, of the first class that has any.
func (t *table) surplus() (control.Ban, bool) {
	if !t.full() {
		return control.Ban{}, false
	}
	for _, ends := range t.ends {
		if len(ends) > 0 {
			return ends[0].ban(), true
		}
	}
	return control.Ban{}, false
}

func (t *table) remove(jail string, p netip.Prefix) {
	e, ok := t.bans.Delete(t.at(jail, p))
	if !ok {
		return
	}
	t.drop(e)
	t.tally(e, -1)
}

// nextEnd is when the next ban expires, or zero when none does.
func (t *table) nextEnd() time.Time {
	if next := t.next(); next != nil {
		return next.until.time()
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
		b := t.next().ban()
		t.remove(b.Jail, b.Prefix)
		over = append(over, b)
	}
	return over
}

// endingBy calls f for all bans that end by then. It looks at few others.
func (t *table) endingBy(then time.Time, f func(*entry)) {
	for _, ends := range t.ends {
		for todo := []int{0}; len(todo) > 0; {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if i >= len(ends) || ends[i].until > stampOf(then) {
				continue
			}
			f(ends[i])
			todo = append(todo, 2*i+1, 2*i+2)
		}
	}
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
	after := keyOf(cmp.Or(jail, p.Jail), prefix)
	s.bans.AscendGreaterOrEqual(after, func(e *entry) bool {
		if p.Jail != "" && e.jail != p.Jail {
			return false
		}
		if jail != "" && e.place == after.place {
			return true
		}
		if len(bans) == limit {
			next = pageKey(bans[limit-1])
			return false
		}
		bans = append(bans, e.ban())
		return true
	})
	return bans, next
}

// every calls f for all bans of a jail, or of all jails (""). f must not change the table.
func (t *table) every(jail string, f func(control.Ban)) {
	t.bans.AscendGreaterOrEqual(keyOf(jail, netip.Prefix{}), func(e *entry) bool {
		if jail != "" && e.jail != jail {
			return false
		}
		f(e.ban())
		return true
	})
}

// within returns the bans of a jail that are of something inside p, but not of p itself. It looks at no others.
func (t *table) within(jail string, p netip.Prefix) []control.Ban {
	var bans []control.Ban
	t.bans.AscendGreaterOrEqual(keyOf(jail, p), func(e *entry) bool {
		b := e.ban()
		if b.Jail != jail || !p.Contains(b.Prefix.Addr()) {
			return false
		}
		if b.Prefix != p {
			bans = append(bans, b)
		}
		return true
	})
	return bans
}

// there reports whether e is still in the table, and no other ban in its place.
func (e *entry) there() bool { return e.end >= 0 }

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

// endsBefore puts, of those that end together, the oldest first: those for ever are such.
func endsBefore(a, b *entry) bool {
	if a.until == b.until {
		return a.since < b.since
	}
	return a.until < b.until
}

func (e ends) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].end, e[j].end = int32(i), int32(j)
}

// Push implements heap.Interface.
func (e *ends) Push(x any) {
	added := x.(*entry)
	added.end = int32(len(*e))
	*e = append(*e, added)
}

// Pop implements heap.Interface.
func (e *ends) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	last.end = -1
	return last
}
