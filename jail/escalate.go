package jail

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// Escalation says how the ban time of a repeat offender grows. The zero value: it does not.
type Escalation struct {
	Increment    bool          // grow at all
	Factor       float64       // what a grown ban time is multiplied with; 0 is 1
	Multipliers  []int         // of the ban time by offence, the last one for all further; empty: 1, 2, 4, 8, ...
	MaxTime      time.Duration // of a grown ban; 0: no limit
	RndTime      time.Duration // up to this much is added, so that nobody can tell when a ban ends; 0: nothing
	OverallJails bool          // offences in all jails count, not only those in this one
}

const (
	// maxDoublings is where the doubling ends: a million times the ban time.
	maxDoublings = 20
	// longest is the longest ban that is not permanent.
	longest = 100 * 365 * 24 * time.Hour
)

// BanTime is how long the offence-th ban of an address lasts whose first lasts base. The first is never changed, a later
// one is never shorter than the first, and permanent stays permanent. random, from 0 up to 1, is the part of RndTime
// that is added.
func (e Escalation) BanTime(base time.Duration, offence int, random float64) time.Duration {
	if !e.Increment || offence <= 1 || base == Permanent {
		return base
	}
	limit := longest
	if e.MaxTime > 0 {
		limit = min(limit, e.MaxTime)
	}
	grown := limit
	if f := base.Seconds() * e.multiplier(offence); f < limit.Seconds() {
		grown = time.Duration(math.Round(f * float64(time.Second)))
	}
	return max(base, grown) + time.Duration(random*float64(e.RndTime))
}

// multiplier is what the ban time of the offence-th ban is multiplied with.
func (e Escalation) multiplier(offence int) float64 {
	factor := e.Factor
	if factor == 0 {
		factor = 1
	}
	if n := len(e.Multipliers); n > 0 {
		return factor * float64(e.Multipliers[min(offence, n)-1])
	}
	return factor * math.Ldexp(1, min(offence-1, maxDoublings))
}

// Chance is a number from 0 up to 1 for a ban. The same ban always gives the same number, so that a log read twice ends
// a ban at the same time; without the secret nobody can tell it in advance.
func Chance(secret []byte, p netip.Prefix, offence int) float64 {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(secret))))
	h.Write(secret)
	prefix, _ := p.MarshalBinary() // never fails
	h.Write(prefix)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(offence)))
	return float64(binary.BigEndian.Uint64(h.Sum(nil))>>11) / (1 << 53)
}
