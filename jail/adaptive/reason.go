package adaptive

import (
	"math"
	"strconv"
	"time"

	"exile/jail/internal/text"
)

// reason is why the detector banned, in values: the text is made for those who ask, see String. Every ban has one of its
// own, so it is small.
type reason struct {
	name    string        // that was tried, as the remote sent it; empty: none
	span    time.Duration // the window that decided
	points  points        // within it; not of byPrefix
	limit   points        // that make a ban
	offence uint16        // 1 is the first
	step    uint8         // of the ladder; 1 is the first
	count   uint8         // byName: networks that failed on it; byPrefix: banned in it
	siege   uint8         // networks that failed on the name, if that raised the points; else 0
	kind    reasonKind
	known   bool   // the points were weighed as those of a known neighbour
	beside  bool   // fewer points were enough, since the network had a ban
	first   bool   // the first failure was enough, by where the address is
	factor  points // of the points of each failure, by where the address is
}

// reasonKind is the evidence that decided.
type reasonKind uint8

const (
	byPoints  reasonKind = iota // so many points within a time
	byName                      // a name that only attackers use
	byPrefix                    // so many banned addresses in a network
	byNetwork                   // so many points of all addresses of a network within a time
)

// reasons makes room for many reasons at a time, so that few bans allocate anything.
type reasons struct{ free []reason }

// keep returns where a reason is kept for as long as somebody has it.
func (s *reasons) keep(r reason) *reason {
	if len(s.free) == 0 {
		s.free = make([]reason, 32)
	}
	kept := &s.free[0]
	s.free = s.free[1:]
	*kept = r
	return kept
}

// reason is that of a ban of an address.
func (e *evidence) reason(user string, offence, step int) reason {
	r := reason{
		points: e.total, limit: e.limit, span: e.span, known: e.neighbour, siege: uint8(e.siege), beside: e.beside,
		first: e.First, factor: hundredths(e.Points), offence: uint16(offence), step: uint8(min(step, math.MaxUint8)), name: user,
	}
	if e.name > 0 {
		r.kind, r.count = byName, uint8(e.name)
	}
	return r
}

// String is one line for people. Names in it are clipped and quoted.
func (r *reason) String() string {
	b := make([]byte, 0, 128)
	switch r.kind {
	case byPrefix:
		b = append(append(b, "prefix: "...), addresses(int(r.count))...)
		b = append(append(b, " in it banned within "...), text.Span(r.span)...)
	case byNetwork:
		b = append(r.appendPoints(append(b, "network: "...)), " by all its addresses"...)
	case byName:
		b = strconv.AppendQuoteToASCII(append(b, "name: "...), text.Clip(r.name))
		b = append(append(append(b, ", on which "...), networks(int(r.count))...), " failed, "...)
		b = r.appendPoints(b)
	case byPoints:
		b = r.appendPoints(append(b, "count: "...))
	}
	b = strconv.AppendInt(append(b, ", offence "...), int64(r.offence), 10)
	return string(strconv.AppendInt(append(b, ", step "...), int64(r.step), 10))
}

func (r *reason) appendPoints(b []byte) []byte {
	b = r.limit.append(append(r.points.append(b), " of "...))
	b = append(append(b, " points in "...), text.Span(r.span)...)
	if r.known {
		b = append(b, ", weighed as a known neighbour"...)
	}
	if r.siege > 0 {
		b = append(append(b, ", weighed as a siege by "...), networks(int(r.siege))...)
		if r.name == "" {
			b = append(b, " without a user name"...)
		} else {
			b = append(b, " of an account that nobody uses"...)
		}
	}
	switch {
	case r.first:
		b = append(b, ", enough at the first failure by country or network"...)
	case r.factor != 0 && r.factor != 100:
		b = append(r.factor.append(append(b, ", weighed "...)), " times by country or network"...)
	}
	if r.beside {
		b = append(b, ", in a network where somebody was banned"...)
	}
	return b
}

// String has no needless zeros: "5", "0.2".
func (p points) String() string { return string(p.append(nil)) }

func (p points) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(p/100), 10)
	switch tenths, hundredths := byte(p/10%10), byte(p%10); {
	case hundredths > 0:
		b = append(b, '.', '0'+tenths, '0'+hundredths)
	case tenths > 0:
		b = append(b, '.', '0'+tenths)
	}
	return b
}

func addresses(n int) string { return many(n, "address", "addresses") }

func networks(n int) string { return many(n, "network", "networks") }

// many is a number of things that are counted up to maxCounted.
func many(n int, one, more string) string {
	switch {
	case n == 1:
		return "1 " + one
	case n >= maxCounted:
		return strconv.Itoa(n) + " or more " + more
	}
	return strconv.Itoa(n) + " " + more
}
