package replay

import (
	"container/heap"
	"encoding/binary"
	"iter"
	"math"
	"net/netip"
	"time"

	"exile/internal/control"
)

// bench holds the bans: all that were made, those that stand, and the past of the offenders. A ban takes some 100 bytes, whether it stands
// or not.
type bench struct {
	made     [][]record     // in the order of their decisions, in pieces of chunk
	index    index          // of the newest of each prefix; with few: of those that stand
	past     pasts          // that is not in the records
	offends  key            // whose offence the next record is
	wide     [][129]int32   // how many bans stand, by jail and length
	inside   map[key]int    // and, in IPv6, how many of less than a network of 64 bits, by that
	lengths  map[uint8]bool // of all prefixes that were ever banned
	ends     ends
	early    uint32            // how often bans were lifted before their time
	explains bool              // reasons are kept
	reasons  []string          // the first is none
	known    map[string]uint32 // reasons by their text, while there are few

	// Of a grid, which needs no list of all bans.
	few   bool     // records of bans that are over are used again
	free  []uint32 // such records
	fresh []key    // bans of the period since somebody last looked
	count int      // of the period
	over  bool     // there were more bans at a time than maxFew
}

const (
	chunk      = 4096
	maxReasons = 4096 // texts that are looked for: those of the adaptive detector are mostly different ones
)

// key names a prefix in a jail. It has no pointers, because there may be a million.
type key struct {
	hi, lo uint64
	jail   uint16
	bits   uint8 // of the address in IPv6
}

// keyOf returns the key of a prefix. IPv4 lies in its IPv6-mapped form.
func keyOf(jail uint16, p netip.Prefix) key {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	a := p.Addr().As16()
	return key{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:]), jail, uint8(bits)}
}

// is4 reports whether the prefix is one of IPv4.
func (k key) is4() bool { return k.bits >= 96 && k.hi == 0 && k.lo>>32 == 0xffff }

func (k key) prefix() netip.Prefix {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], k.hi)
	binary.BigEndian.PutUint64(a[8:], k.lo)
	addr := netip.AddrFrom16(a)
	if addr.Is4In6() {
		return netip.PrefixFrom(addr.Unmap(), int(k.bits)-96)
	}
	return netip.PrefixFrom(addr, int(k.bits))
}

// around returns the key of the prefix of that length around k.
func (k key) around(bits uint8) key {
	k.bits = bits
	k.hi &= ^uint64(0) << (64 - min(bits, 64))
	if bits <= 64 {
		k.lo = 0
	} else {
		k.lo &= ^uint64(0) << (128 - bits)
	}
	return k
}

// record is a ban. Times are in µs since 1970.
type record struct {
	key
	at, until int64 // never: it is permanent
	from      int64 // since when the prefix is banned without a pause
	attempts  int32
	reason    uint32
	last      uint32 // the record of the last offence of the prefix, plus one; 0: there was none
	offence   uint16 // at most maxOffence
	origin    origin
	silent    bool // before the time that is asked for
}

// maxOffence is the highest ordinal of an offence. Bans have stopped growing long before.
const maxOffence = math.MaxUint16

// lifted in place of the time since when a prefix is banned says that the ban does not stand any more.
const lifted = math.MinInt64

func (r *record) stands() bool { return r.from != lifted }

// The widest prefixes that can be banned.
var (
	widest4 = uint8(control.Widest(netip.MustParsePrefix("0.0.0.0/8")))
	widest6 = uint8(control.Widest(netip.MustParsePrefix("::/16")))
)

// never is the end of a permanent ban.
const never = math.MaxInt64

// origin says what a ban is for.
type origin uint8

const (
	offence  origin = iota
	group           // for what several addresses in it did
	amid            // for guesses beside a session
	recidive        // for other bans
)

func newBench() bench {
	return bench{
		index: newIndex(), past: newPasts(), inside: make(map[key]int), lengths: make(map[uint8]bool),
		known: make(map[string]uint32), reasons: []string{""},
	}
}

func (b *bench) len() int {
	if len(b.made) == 0 {
		return 0
	}
	return (len(b.made)-1)*chunk + len(b.made[len(b.made)-1])
}

func (b *bench) at(n uint32) *record { return &b.made[n/chunk][n%chunk] }

// get returns the ban of exactly that prefix that stands, or nil.
func (b *bench) get(k key) *record {
	if _, n, ok := b.find(k); ok && b.at(n).stands() {
		return b.at(n)
	}
	return nil
}

// remember notes the past of an offender. Unless it is apart, it is that of the next record, which is a ban for the offence.
func (b *bench) remember(k key, p past, apart bool) {
	if apart = apart || b.few; apart {
		b.past.set(k, p)
		return
	}
	b.past.forget(k)
	b.offends = k
}

// pastOf returns what is remembered of an offender.
func (b *bench) pastOf(k key) (past, bool) {
	if p, ok := b.past.get(k); ok || b.few {
		return p, ok
	}
	_, n, ok := b.find(k)
	if !ok || b.at(n).last == 0 {
		return past{}, false
	}
	r := b.at(b.at(n).last - 1)
	return past{r.at, int32(r.offence)}, true
}

// put adds a ban, or replaces the one that stands.
func (b *bench) put(r record) {
	r.from = r.at
	if _, n, ok := b.find(r.key); ok {
		old := b.at(n)
		if r.last = old.last; old.stands() {
			r.from = min(old.from, r.at)
			b.stand(r.key, -1)
		}
		b.release(n)
	}
	b.stand(r.key, 1)
	b.lengths[r.bits] = true
	if b.offends == r.key {
		r.last, b.offends = uint32(b.len()+1), key{}
	}
	n := b.record(r)
	b.enter(r.key, n)
	if r.until != never {
		heap.Push(&b.ends, end{r.until, n})
	}
}

// lift takes a ban off. If its time is not over, early rises, too.
func (b *bench) lift(k key) {
	slot, n, _ := b.find(k)
	b.release(n)
	b.stand(k, -1)
	if b.few {
		b.index.remove(slot)
	}
}

// stand counts a ban that stands from now on, 1, or no longer, -1.
func (b *bench) stand(k key, n int) {
	for len(b.wide) <= int(k.jail) {
		b.wide = append(b.wide, [129]int32{})
	}
	b.wide[k.jail][k.bits] += int32(n)
	if k.bits <= 64 || k.is4() {
		return
	}
	network := k.around(64)
	if b.inside[network] += n; b.inside[network] == 0 {
		delete(b.inside, network)
	}
}

// expired takes a ban off whose time is over, and returns its key; false: there is none.
func (b *bench) expired(now int64) (key, bool) {
	for len(b.ends) > 0 && b.ends[0].at <= now {
		first := heap.Pop(&b.ends).(end)
		r := b.at(first.record)
		k := r.key
		if r.stands() && r.until == first.at { // otherwise it was lifted or extended
			b.lift(k)
			return k, true
		}
	}
	return key{}, false
}

// covering yields the bans of a jail that stop all of the prefix, the narrowest first.
func (b *bench) covering(k key) iter.Seq[*record] {
	return func(yield func(*record) bool) {
		if int(k.jail) >= len(b.wide) {
			return // it has never banned
		}
		wide := &b.wide[k.jail]
		widest := widest6
		if k.is4() {
			widest = 96 + widest4
		}
		for bits := k.bits; bits >= widest; bits-- {
			if wide[bits] == 0 {
				continue
			}
			if r := b.get(k.around(bits)); r != nil && !yield(r) {
				return
			}
		}
	}
}

// stands returns a ban that stops an address in a jail at that time, or nil.
func (b *bench) stands(jail uint16, a netip.Addr, at int64) *record {
	for r := range b.covering(keyOf(jail, netip.PrefixFrom(a, a.BitLen()))) {
		if at >= r.from+Lag.Microseconds() && at < r.until {
			return r
		}
	}
	return nil
}

// keep returns the number of a text.
func (b *bench) keep(text string) uint32 {
	if n, ok := b.known[text]; ok {
		return n
	}
	n := uint32(len(b.reasons))
	b.reasons = append(b.reasons, text)
	if len(b.known) < maxReasons {
		b.known[text] = n
	}
	return n
}

// end is when a ban ends.
type end struct {
	at     int64
	record uint32
}

// ends is a heap; the first ends next.
type ends []end

func (e ends) Len() int { return len(e) }
func (e ends) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].record < e[j].record
}
func (e ends) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *ends) Push(x any) { *e = append(*e, x.(end)) }

// Pop implements heap.Interface.
func (e *ends) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func micro(t time.Time) int64 { return t.UnixMicro() }
