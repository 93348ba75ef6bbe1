package tally

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Key names a day of a jail.
type Key struct {
	Jail string // empty: the host
	Date int64  // its beginning, in seconds since 1970
}

func keyOf(jail string, at time.Time) Key { return Key{jail, Date(at).Unix()} }

func (k Key) compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Date, other.Date), strings.Compare(k.Jail, other.Jail))
}

// Book has the days of several jails. Of each jail the two days that were filled last are open; the others are kept as text of 2 kB each. If
// there are too many, the oldest go. It is used from one goroutine.
type Book struct {
	most    int
	open    map[string][]*Day // the one that was filled last first
	last    *Day
	kept    map[Key][]byte
	changed map[Key]bool // since Unwritten was called; true: there still is such a day
	nowhere *Day         // takes what counts on no day
}

// NewBook returns an empty book that has at most so many days of jails.
func NewBook(most int) *Book {
	return &Book{most: most, open: make(map[string][]*Day), kept: make(map[Key][]byte), changed: make(map[Key]bool)}
}

// maxOpen is how many days of a jail are open. Two, because entries from around midnight may come in any order.
const maxOpen = 2

// Day returns the day of a jail in which a time lies, to be filled until the next call.
func (b *Book) Day(jail string, at time.Time) *Day {
	if b.last == nil || b.last.Jail != jail || !b.last.Has(at) {
		b.last = b.turnTo(jail, at)
	}
	if d := b.last; !d.changed && d != b.nowhere {
		d.changed = true
		b.changed[Key{d.Jail, d.Date.Unix()}] = true
	}
	return b.last
}

// Nowhere returns a day that is in no book, for what is not to be counted.
func (b *Book) Nowhere() *Day {
	if b.nowhere == nil {
		b.nowhere = NewDay("", time.Time{})
	}
	return b.nowhere
}

// turnTo opens a day, and closes the third of its jail.
func (b *Book) turnTo(jail string, at time.Time) *Day {
	days := b.open[jail]
	if i := slices.IndexFunc(days, func(d *Day) bool { return d.Has(at) }); i >= 0 {
		days[0], days[i] = days[i], days[0]
		return days[0]
	}
	k := keyOf(jail, at)
	d := NewDay(jail, at)
	if text, ok := b.kept[k]; ok {
		if before, err := Decode(text); err == nil {
			d = before
		}
		delete(b.kept, k)
	} else if !b.makeRoom(k) {
		return b.Nowhere()
	}
	days = slices.Insert(b.open[jail], 0, d)
	for len(days) > maxOpen {
		b.close(days[maxOpen])
		days = slices.Delete(days, maxOpen, maxOpen+1)
	}
	b.open[jail] = days
	return d
}

// close keeps a day as text.
func (b *Book) close(d *Day) {
	k := Key{d.Jail, d.Date.Unix()}
	b.kept[k] = d.AppendKept(nil)
	b.changed[k] = true // it has become smaller
}

// makeRoom drops the oldest day if there are too many, unless the new one is even older.
func (b *Book) makeRoom(k Key) bool {
	if b.Len() < b.most {
		return true
	}
	oldest := slices.MinFunc(b.keys(), Key.compare)
	if k.compare(oldest) < 0 {
		return false
	}
	b.drop(oldest)
	return true
}

// Len returns how many days of jails there are.
func (b *Book) Len() (n int) {
	for _, days := range b.open {
		n += len(days)
	}
	return n + len(b.kept)
}

func (b *Book) keys() []Key {
	keys := slices.Collect(maps.Keys(b.kept))
	for _, days := range b.open {
		for _, d := range days {
			keys = append(keys, Key{d.Jail, d.Date.Unix()})
		}
	}
	return keys
}

func (b *Book) drop(k Key) {
	delete(b.kept, k)
	is := func(d *Day) bool { return d.Date.Unix() == k.Date }
	if days := slices.DeleteFunc(b.open[k.Jail], is); len(days) > 0 {
		b.open[k.Jail] = days
	} else {
		delete(b.open, k.Jail)
	}
	b.changed[k] = false
	b.last = nil
}

// Prune drops all days before one, and after another.
func (b *Book) Prune(first, last time.Time) {
	for _, k := range b.keys() {
		if k.Date < Date(first).Unix() || k.Date > Date(last).Unix() {
			b.drop(k)
		}
	}
}

// Newest returns the last day that is not after a time; zero: there is none.
func (b *Book) Newest(until time.Time) (date time.Time) {
	for _, k := range b.keys() {
		if at := time.Unix(k.Date, 0).UTC(); !at.After(until) && at.After(date) {
			date = at
		}
	}
	return date
}

// Unwritten returns the days that have changed since the last call, as text; nil: the day is no more.
func (b *Book) Unwritten() map[Key][]byte {
	if len(b.changed) == 0 {
		return nil
	}
	list := make(map[Key][]byte, len(b.changed))
	for k := range b.changed {
		list[k] = b.text(k)
	}
	clear(b.changed)
	for _, days := range b.open {
		for _, d := range days {
			d.changed = false
		}
	}
	return list
}

// text returns a day as text; nil: there is none.
func (b *Book) text(k Key) []byte {
	for _, d := range b.open[k.Jail] {
		if d.Date.Unix() == k.Date {
			return d.Append(nil)
		}
	}
	return b.kept[k]
}

// All returns all days as texts, which do not change.
func (b *Book) All() map[Key][]byte {
	all := maps.Clone(b.kept)
	for _, days := range b.open {
		for _, d := range days {
			k := Key{d.Jail, d.Date.Unix()}
			all[k] = b.text(k)
		}
	}
	return all
}

// Select returns the days of a jail, or of all (""), that have a part from one time on and before another, as texts, by date and jail. A zero
// time is no limit. Read adds them up.
func (b *Book) Select(jail string, since, until time.Time) [][]byte {
	keys := slices.DeleteFunc(b.keys(), func(k Key) bool {
		begin := time.Unix(k.Date, 0)
		return jail != "" && k.Jail != jail || !begin.Add(Length).After(since) || !until.IsZero() && !begin.Before(until)
	})
	slices.SortFunc(keys, Key.compare)
	texts := make([][]byte, len(keys))
	for i, k := range keys {
		texts[i] = b.text(k)
	}
	return texts
}

// Restore takes over days as they were written, in place of those of the same names. Those that cannot be read are left out.
func (b *Book) Restore(texts map[Key][]byte) {
	for k, text := range texts {
		if d, err := Decode(text); err == nil && k == (Key{d.Jail, d.Date.Unix()}) && b.makeRoom(k) {
			b.kept[k] = text
		}
	}
}

// Days returns all days, by date and jail.
func (b *Book) Days() []*Day {
	all := b.All()
	days := make([]*Day, 0, len(all))
	for _, k := range slices.SortedFunc(maps.Keys(all), Key.compare) {
		if d, err := Decode(all[k]); err == nil {
			days = append(days, d)
		}
	}
	return days
}
