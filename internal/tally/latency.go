package tally

import (
	"math/bits"
	"time"
)

// Latency is a histogram of the times from a log entry to the ban in the kernel. Entry i counts those below LatencyBound(i) and not below the
// bound before; the last one counts all others.
type Latency [latencyBounds + 1]uint64

const latencyBounds = 17

// LatencyBound returns the bound above entry i, 0 to 16: 1 ms, 2 ms, 4 ms ... 65.536 s.
func LatencyBound(i int) time.Duration { return time.Millisecond << i }

// Add counts one ban.
func (l *Latency) Add(d time.Duration) {
	l[min(bits.Len64(uint64(max(d, 0)/time.Millisecond)), latencyBounds)]++
}

func (l *Latency) add(other *Latency) {
	for i, n := range other {
		l[i] += n
	}
}

// Bans returns how many are counted.
func (l *Latency) Bans() (n uint64) {
	for _, bans := range l {
		n += bans
	}
	return n
}
