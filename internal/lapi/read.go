package lapi

import (
	"net/netip"
	"time"
)

// This file reads the book for bouncers.

// Decision is what a bouncer is told of a prefix.
type Decision struct {
	ID     uint64
	Jail   string
	Prefix netip.Prefix
	Left   time.Duration // until it ends; of one that has ended, what was left or less than nothing
}

// forever is how long a permanent ban is said to last: bouncers know no decision without an end. It is ten years.
const forever = 10 * 365 * 24 * time.Hour

func (e entry) decision(now time.Time) Decision {
	d := Decision{ID: e.seq, Jail: e.jail, Prefix: e.prefix, Left: forever}
	if e.until != 0 {
		d.Left = time.Unix(e.until, 0).Sub(now)
	}
	if e.ended() {
		d.ID, d.Left = e.born, -time.Second
	}
	return d
}

// Ready reports whether the book was filled: before, it cannot tell that nobody is banned.
func (b *Book) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready
}

// Mark returns how far the log goes now, and how far a bouncer has read. Of what it has read, it knows which decisions ended.
func (b *Book) Mark(bouncer string) (now, read uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq, b.read[bouncer]
}

// Seen notes that a bouncer has read up to a mark.
func (b *Book) Seen(bouncer string, mark uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read[bouncer] = mark
}

// New calls f with the decisions in force that were made after one mark and up to another, until it fails.
func (b *Book) New(after, upTo uint64, now time.Time, f func(Decision) error) error {
	return b.each(after, upTo, now, f, func(e entry) bool { return b.live(e) && (e.until == 0 || e.until > now.Unix()) })
}

// Deleted calls f with the decisions that ended after one mark and up to another, of those that a bouncer knew at the first mark. With 0, for a
// bouncer that starts, these are all that have ended, because it may have kept what it knew.
func (b *Book) Deleted(after, upTo uint64, now time.Time, f func(Decision) error) error {
	return b.each(after, upTo, now, f, func(e entry) bool {
		_, again := b.current[e.prefix]
		return e.ended() && (e.born <= after || after == 0 && !again)
	})
}

// each calls f without holding the book, a chunk at a time.
func (b *Book) each(after, upTo uint64, now time.Time, f func(Decision) error, choose func(entry) bool) error {
	some := make([]Decision, 0, chunk)
	for more := true; more; {
		some = some[:0]
		if after, more = b.next(after, upTo, func(e entry) {
			if choose(e) {
				some = append(some, e.decision(now))
			}
		}); len(some) == 0 {
			continue
		}
		for _, d := range some {
			if err := f(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// next calls f with at most a chunk of entries after a mark, and returns the mark behind them.
func (b *Book) next(after, upTo uint64, f func(entry)) (mark uint64, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, _ := b.find(after + 1)
	for range chunk {
		if at >= len(b.log) || b.log[at].seq > upTo {
			return after, false
		}
		after = b.log[at].seq
		f(b.log[at])
		at++
	}
	return after, true
}

// Covering returns the decisions on a prefix and on the networks around it.
func (b *Book) Covering(p netip.Prefix, now time.Time) (all []Decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for bits := p.Bits(); bits >= 0; bits-- {
		around, err := p.Addr().Prefix(bits)
		if err != nil {
			return all
		}
		if at, has := b.find(b.current[around]); has && (b.log[at].until == 0 || b.log[at].until > now.Unix()) {
			all = append(all, b.log[at].decision(now))
		}
	}
	return all
}
