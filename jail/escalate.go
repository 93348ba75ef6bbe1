package jail

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// Escalation says how the ban time of a repeat offender grows. With the zero value it does not.
type Escalation struct {
	Increment    bool          // it grows
	Factor       float64       // of a grown ban time; 0 stands for 1
	Multipliers  []int         // of the ban time by offence, the last one for all further offences; empty: 1, 2, 4, 8, ...
	MaxTime      time.Duration // of a grown ban; 0: no limit
	RndTime      time.Duration // up to this much is added, so that nobody can predict the end of a ban; 0: nothing
	OverallJails bool          // offences in all jails count
}

const (
	// maxDoublings is where the doubling ends: a million times the ban time.
	maxDoublings = 20
	// longest is the longest ban that is not permanent.
	longest = 100 * 365 * 24 * time.Hour
)

// BanTime is how long a ban of an address lasts if the first one lasts base. The first is never changed, a later one is never
// shorter, and permanent stays permanent. random, from 0 up to 1, is the part of RndTime that is added.
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

// multiplier is the factor of the ban time for that offence.
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

// Chance is a number from 0 up to 1 for a ban. The same ban always has the same number, so a log read twice ends a ban at the
// same time. Without the secret nobody can predict it.
func Chance(secret []byte, p netip.Prefix, offence int) float64 {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(secret))))
	h.Write(secret)
	prefix, _ := p.MarshalBinary() // never fails
	h.Write(prefix)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(offence)))
	return float64(binary.BigEndian.Uint64(h.Sum(nil))>>11) / (1 << 53)
}

// Capped limits a ban time to the step of the ladder for that offence. Without a ladder there is no limit.
func Capped(ladder []time.Duration, offence int, t time.Duration) time.Duration {
	if len(ladder) == 0 {
		return t
	}
	step := ladder[min(max(offence, 1), len(ladder))-1]
	if t == Permanent {
		return step
	}
	return min(t, step)
}
