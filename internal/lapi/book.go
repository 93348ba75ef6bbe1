// Package lapi shows bans to bouncers: the decisions of exile as CrowdSec's local API has them, read-only.
package lapi

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Ban is a ban in force, as the book needs it.
type Ban struct {
	Jail   string
	Prefix netip.Prefix
	Until  time.Time // zero: permanent
}

// mostGone is how many lifted decisions are remembered for bouncers that have not asked since. One that stays away for longer keeps those that
// it has until they end by themselves.
const mostGone = 100_000

// chunk is how many entries of the book are read at once, so that an answer to a slow bouncer does not hold it.
const chunk = 512

// Book is what bouncers may know: for each address or network one decision, that of the ban which ends last, and a log of what changed. Bouncers
// hold a decision for each address: the end of one of two bans must not lift the other. It is safe for concurrent use.
type Book struct {
	mu      sync.Mutex // bouncers read while the feed writes
	ready   bool       // it was filled at least once
	seq     uint64
	log     []entry // in the order of seq
	gone    int     // entries of the log that say so
	current map[netip.Prefix]uint64
	bans    map[netip.Prefix][]Ban
	read    map[string]uint64 // up to where each bouncer has read, by name
}

// entry is a decision, or the end of one.
type entry struct {
	seq    uint64 // it is the decision's number, too
	born   uint64 // of an end: the decision that has ended
	until  int64  // seconds since 1970; 0: permanent
	prefix netip.Prefix
	jail   string
}

func (e entry) ended() bool { return e.born != 0 }

// NewBook returns an empty book, which knows nothing until Fill.
func NewBook() *Book {
	return &Book{current: make(map[netip.Prefix]uint64), bans: make(map[netip.Prefix][]Ban), read: make(map[string]uint64)}
}

// Put enters a ban, or its new end.
func (b *Book) Put(ban Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(ban)
	b.compact()
}

func (b *Book) put(ban Ban) {
	of := b.bans[ban.Prefix]
	if i := slices.IndexFunc(of, func(o Ban) bool { return o.Jail == ban.Jail }); i >= 0 {
		of[i] = ban
	} else {
		b.bans[ban.Prefix] = append(of, ban)
	}
	b.decide(ban.Prefix)
}

// Lift removes a jail's ban.
func (b *Book) Lift(jail string, p netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lift(jail, p)
	b.compact()
}

func (b *Book) lift(jail string, p netip.Prefix) {
	of := slices.DeleteFunc(b.bans[p], func(o Ban) bool { return o.Jail == jail })
	if b.bans[p] = of; len(of) == 0 {
		delete(b.bans, p)
	}
	b.decide(p)
}

// Fill makes the book hold exactly these bans, except that of those which keep says to leave alone.
func (b *Book) Fill(bans []Ban, keep func(jail string, p netip.Prefix) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	type key struct {
		jail   string
		prefix netip.Prefix
	}
	wanted := make(map[key]bool, len(bans))
	for _, ban := range bans {
		wanted[key{ban.Jail, ban.Prefix}] = true
		if !keep(ban.Jail, ban.Prefix) {
			b.put(ban)
		}
	}
	var left []key
	for p, of := range b.bans {
		for _, ban := range of {
			if k := (key{ban.Jail, p}); !wanted[k] && !keep(ban.Jail, p) {
				left = append(left, k)
			}
		}
	}
	slices.SortFunc(left, func(a, o key) int { return cmp.Or(a.prefix.Compare(o.prefix), cmp.Compare(a.jail, o.jail)) }) // not the order of a map
	for _, k := range left {
		b.lift(k.jail, k.prefix)
	}
	b.ready = true
	b.compact()
}

// decide compares the decision on a prefix with its bans. A changed one ends, and begins anew under another number: bouncers that only add would
// keep the old end.
func (b *Book) decide(p netip.Prefix) {
	best, banned := longest(b.bans[p])
	at, has := b.find(b.current[p])
	old := entry{}
	if has {
		old = b.log[at]
	}
	if has && banned && old.until == unix(best.Until) && old.jail == best.Jail {
		return
	}
	if has {
		b.append(entry{born: old.seq, until: old.until, prefix: p, jail: old.jail})
		b.gone++
		delete(b.current, p)
	}
	if banned {
		b.append(entry{until: unix(best.Until), prefix: p, jail: best.Jail})
		b.current[p] = b.seq
	}
}

func (b *Book) append(e entry) {
	b.seq++
	e.seq = b.seq
	b.log = append(b.log, e)
}

// longest returns the ban that ends last.
func longest(bans []Ban) (best Ban, any bool) {
	for _, ban := range bans {
		if !any || !best.Until.IsZero() && (ban.Until.IsZero() || ban.Until.After(best.Until)) {
			best, any = ban, true
		}
	}
	return best, any
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// find returns the place of an entry in the log.
func (b *Book) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(b.log, seq, func(e entry, seq uint64) int {
		switch {
		case e.seq < seq:
			return -1
		case e.seq > seq:
			return 1
		}
		return 0
	})
}

// live reports whether an entry is the decision in force on its prefix.
func (b *Book) live(e entry) bool { return !e.ended() && b.current[e.prefix] == e.seq }

// compact drops decisions that have ended, and the oldest ends, when they are half of the log.
func (b *Book) compact() {
	if len(b.log) < 2*(len(b.current)+min(b.gone, mostGone))+chunk {
		return
	}
	drop := max(0, b.gone-mostGone)
	b.log = slices.DeleteFunc(b.log, func(e entry) bool {
		if e.ended() && drop > 0 {
			drop--
			b.gone--
			return true
		}
		return !e.ended() && !b.live(e)
	})
	b.log = slices.Clip(b.log)
}
