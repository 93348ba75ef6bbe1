package daemon

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
	"time"
	"unique"

	"exile/internal/state"
)

// Bans and what is remembered of the past are kept by the hundred thousand. So they are packed: a place in 40 bytes
// instead of 48 and compared in a quarter of the time, a time in 8 instead of 24, texts that many have the same once.

// place is a prefix in a jail.
type place struct {
	jail      string // the same bytes for all of a jail
	high, low uint64 // the address
	bits      uint8
	six       bool // IPv6
}

// placeOf packs a prefix. An invalid one sorts before all others.
func placeOf(jail string, p netip.Prefix) place {
	if !p.IsValid() {
		return place{jail: jail}
	}
	if a := p.Addr(); a.Is4() {
		four := a.As4()
		return place{jail: jail, low: uint64(binary.BigEndian.Uint32(four[:])), bits: uint8(p.Bits())}
	}
	six := p.Addr().As16()
	return place{jail, binary.BigEndian.Uint64(six[:8]), binary.BigEndian.Uint64(six[8:]), uint8(p.Bits()), true}
}

// keep returns the place with a jail name that is shared with others.
func (p place) keep() place {
	p.jail = unique.Make(p.jail).Value()
	return p
}

func (p place) prefix() netip.Prefix {
	if !p.six {
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], uint32(p.low))
		return netip.PrefixFrom(netip.AddrFrom4(four), int(p.bits))
	}
	var six [16]byte
	binary.BigEndian.PutUint64(six[:8], p.high)
	binary.BigEndian.PutUint64(six[8:], p.low)
	return netip.PrefixFrom(netip.AddrFrom16(six), int(p.bits))
}

func (p place) who() state.Who { return state.Who{Jail: p.jail, Prefix: p.prefix()} }

// compare sorts by jail, and then as netip.Prefix.Compare does.
func (p *place) compare(q *place) int {
	if c := strings.Compare(p.jail, q.jail); c != 0 {
		return c
	}
	if p.six != q.six {
		if q.six {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(p.high, q.high), cmp.Compare(p.low, q.low), cmp.Compare(p.bits, q.bits))
}

// stamp is a time in microseconds since 1970, rounded up: what happened at a time that was rounded down would be after it.
type stamp int64

const (
	noTime stamp = math.MinInt64 // the zero time.Time
	never  stamp = math.MaxInt64 // of an end
)

func stampOf(t time.Time) stamp {
	if t.IsZero() {
		return noTime
	}
	us := stamp(t.UnixMicro())
	if t.Nanosecond()%1000 > 0 {
		us++
	}
	return us
}

func (s stamp) time() time.Time {
	if s == noTime || s == never {
		return time.Time{}
	}
	return time.UnixMicro(int64(s)).UTC()
}

// endOf packs the end of a ban.
func endOf(until time.Time) stamp {
	if until.IsZero() {
		return never
	}
	return stampOf(until)
}

// clamp limits a number to 32 bits.
func clamp(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }
