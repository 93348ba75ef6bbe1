package daemon

import (
	"container/heap"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"
	"unique"

	"github.com/google/btree"

	"exile/internal/control"
)

// table holds all current bans, by jail and in order of the prefix, and knows the next one to expire. One goroutine owns it. A ban in it does
// not change: it is replaced. The tree holds pointers, because by value it would take twice the memory: its leaves are half empty.
type table struct {
	parts map[string]*part // by jail
	fresh []*entry         // the newest, oldest first; some are not in the table any more
	most  int              // the maximum number of bans; 0: no limit
	probe entry            // for look-ups; nothing keeps it
}

// part holds the bans of a jail.
type part struct {
	jail   string
	bans   *btree.BTreeG[*entry]
	ends   [classes]ends
	groups int      // how many are bans of groups
	wide   [129]int // how many, by the length of the prefix
}

// class says which bans are lifted first when there are too many: those of the lowest class.
type class uint8

const (
	made    class = iota // by a jail
	byHand               // by somebody
	newest               // the last ones, whoever made them
	classes = iota
)

// freshShare is the fraction of a full table that is reserved for the newest bans: otherwise the next ban would lift a short one among long
// ones.
const freshShare = 16

// entry is a ban in the table.
type entry struct {
	place
	since, until      stamp
	reason            unique.Handle[string]
	origin            unique.Handle[string]
	failures, offence int32
	end               int32 // its place among the ends of its class; -1: it was removed
	class             class
}

func newEntry(b *control.Ban) *entry {
	return &entry{
		place: placeOf(b.Jail, b.Prefix).keep(), since: stampOf(b.Since), until: endOf(b.Until), failures: clamp(b.Failures),
		offence: clamp(b.Offence), origin: unique.Make(string(b.Origin)), reason: unique.Make(b.Reason), class: newest,
	}
}

// ban returns the entry as others see it.
func (e *entry) ban() control.Ban {
	return control.Ban{
		Jail: e.jail, Prefix: e.prefix(), Since: e.since.time(), Until: e.until.time(), Failures: int(e.failures),
		Offence: int(e.offence), Origin: control.Origin(e.origin.Value()), Reason: e.reason.Value(),
	}
}

func newTable() *table { return &table{parts: make(map[string]*part)} }

func newPart(jail string) *part { return &part{jail: jail, bans: btree.NewG(32, lessBan)} }

func lessBan(a, b *entry) bool { return a.compare(&b.place) < 0 }

// keyOf returns an entry for look-ups.
func keyOf(jail string, p netip.Prefix) *entry { return &entry{place: placeOf(jail, p)} }

// find returns the ban of a jail and prefix, or nil.
func (t *table) find(jail string, p netip.Prefix) *entry {
	part := t.parts[jail]
	if part == nil {
		return nil
	}
	t.probe.place = placeOf(jail, p)
	e, _ := part.bans.Get(&t.probe)
	return e
}

func (t *table) len() (n int) {
	for _, part := range t.parts {
		n += part.bans.Len()
	}
	return n
}

// count returns how many bans a jail has.
func (t *table) count(jail string) int {
	if part := t.parts[jail]; part != nil {
		return part.bans.Len()
	}
	return 0
}

// groups returns how many of the bans of a jail are of groups.
func (t *table) groups(jail string) int {
	if part := t.parts[jail]; part != nil {
		return part.groups
	}
	return 0
}

// wide reports whether a jail has a ban of a prefix of that length.
func (t *table) wide(jail string, bits int) bool {
	part := t.parts[jail]
	return part != nil && part.wide[bits] > 0
}

func (t *table) get(jail string, p netip.Prefix) (control.Ban, bool) {
	if e := t.find(jail, p); e != nil {
		return e.ban(), true
	}
	return control.Ban{}, false
}

func (t *table) has(jail string, p netip.Prefix) bool { return t.find(jail, p) != nil }

// until returns when a ban ends and where it came from.
func (t *table) until(jail string, p netip.Prefix) (time.Time, control.Origin, bool) {
	if e := t.find(jail, p); e != nil {
		return e.until.time(), control.Origin(e.origin.Value()), true
	}
	return time.Time{}, "", false
}

// put adds the ban, or replaces the one of the same jail and prefix.
func (t *table) put(b control.Ban) {
	e := newEntry(&b)
	part := t.parts[e.jail]
	if part == nil {
		part = newPart(e.jail)
		t.parts[e.jail] = part
	}
	if old, replaced := part.bans.ReplaceOrInsert(e); replaced {
		part.drop(old)
		part.tally(old, -1)
	}
	part.tally(e, 1)
	heap.Push(&part.ends[newest], e)
	t.fresh = append(t.fresh, e)
	t.age()
}

// tally counts a ban in or out.
func (p *part) tally(e *entry, n int) {
	p.wide[e.bits] += n
	if e.origin.Value() == string(control.OriginGroup) {
		p.groups += n
	}
}

// bound sets the maximum number of bans; 0: no limit. Bans above it stay until they are evicted.
func (t *table) bound(most int) {
	t.most = most
	t.age()
}

// age moves the oldest of the newest bans to the others, if there are more of them than their share.
func (t *table) age() {
	for len(t.fresh) > t.most/freshShare {
		e := t.fresh[0]
		t.fresh[0] = nil
		t.fresh = t.fresh[1:]
		if !e.there() {
			continue
		}
		part := t.parts[e.jail]
		part.drop(e)
		e.class = made
		if e.origin.Value() == string(control.OriginManual) {
			e.class = byHand
		}
		heap.Push(&part.ends[e.class], e)
	}
}

// drop takes an entry out of the ends.
func (p *part) drop(e *entry) { heap.Remove(&p.ends[e.class], int(e.end)) }

// full reports whether the table has more bans than the maximum.
func (t *table) full() bool { return t.most > 0 && t.len() > t.most }

// surplus returns the ban of a full table that has to make room: the one that ends soonest, of the lowest class that has any.
func (t *table) surplus() (control.Ban, bool) {
	if !t.full() {
		return control.Ban{}, false
	}
	for c := range classes {
		if first := t.first(c); first != nil {
			return first.ban(), true
		}
	}
	return control.Ban{}, false
}

// first returns the ban of a class that ends first, or nil.
func (t *table) first(c int) (first *entry) {
	for _, part := range t.parts {
		if ends := part.ends[c]; len(ends) > 0 && (first == nil || endsBefore(ends[0], first)) {
			first = ends[0]
		}
	}
	return first
}

func (t *table) remove(jail string, p netip.Prefix) {
	e := t.find(jail, p)
	if e == nil {
		return
	}
	part := t.parts[jail]
	part.bans.Delete(e)
	part.drop(e)
	part.tally(e, -1)
}

// detach removes all bans of a jail at once, however many there are, and returns them, or nil.
func (t *table) detach(jail string) *part {
	part := t.parts[jail]
	if part == nil {
		return nil
	}
	delete(t.parts, jail)
	t.fresh = slices.DeleteFunc(t.fresh, func(e *entry) bool { return e.jail == jail })
	return part
}

// jails returns the names of the jails that have or had bans, sorted.
func (t *table) jails() []string { return slices.Sorted(maps.Keys(t.parts)) }

// nextEnd returns when the next ban expires, or zero if none does.
func (t *table) nextEnd() time.Time {
	if next := t.next(); next != nil {
		return next.until.time()
	}
	return time.Time{}
}

// next returns the ban that ends first, or nil if there is none. A permanent one comes last.
func (t *table) next() (next *entry) {
	for c := range classes {
		if first := t.first(c); first != nil && (next == nil || endsBefore(first, next)) {
			next = first
		}
	}
	return next
}

// expire removes bans that are over, at most limit of them, and returns them in the order of their ends.
func (t *table) expire(now time.Time, limit int) []control.Ban {
	var over []control.Ban
	for len(over) < limit && t.overdue(now) {
		b := t.next().ban()
		t.remove(b.Jail, b.Prefix)
		over = append(over, b)
	}
	return over
}

// endingBy calls f for all bans that end by then. It visits few others.
func (t *table) endingBy(then time.Time, f func(*entry)) {
	for _, part := range t.parts {
		for _, ends := range part.ends {
			ends.by(stampOf(then), f)
		}
	}
}

func (e ends) by(then stamp, f func(*entry)) {
	for todo := []int{0}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if i >= len(e) || e[i].until > then {
			continue
		}
		f(e[i])
		todo = append(todo, 2*i+1, 2*i+2)
	}
}

// overdue reports whether a ban is over at now.
func (t *table) overdue(now time.Time) bool {
	next := t.nextEnd()
	return !next.IsZero() && !next.After(now)
}

// every calls f for all bans of a jail, or of all jails (""). f must not change the table.
func (t *table) every(jail string, f func(control.Ban)) {
	for _, name := range t.jails() {
		if jail != "" && jail != name {
			continue
		}
		t.parts[name].bans.Ascend(func(e *entry) bool {
			f(e.ban())
			return true
		})
	}
}

// within returns the bans of a jail inside p, but not of p itself. It visits no others.
func (t *table) within(jail string, p netip.Prefix) []control.Ban {
	return t.firstWithin(jail, p, math.MaxInt)
}

// firstWithin is within, and stops when there are most.
func (t *table) firstWithin(jail string, p netip.Prefix, most int) []control.Ban {
	part := t.parts[jail]
	if part == nil {
		return nil
	}
	var bans []control.Ban
	part.bans.AscendGreaterOrEqual(keyOf(jail, p), func(e *entry) bool {
		b := e.ban()
		if !p.Contains(b.Prefix.Addr()) || len(bans) >= most {
			return false
		}
		if b.Prefix != p {
			bans = append(bans, b)
		}
		return true
	})
	return bans
}

// there reports whether e is still in the table and was not replaced.
func (e *entry) there() bool { return e.end >= 0 }

// ends is a heap of bans; the first ends next. Each knows its place, so that it can be removed.
type ends []*entry

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return endsBefore(e[i], e[j]) }

// endsBefore orders bans by their end, and those that end together, such as permanent ones, by their age.
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
