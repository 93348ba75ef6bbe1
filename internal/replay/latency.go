package replay

import (
	"math/bits"
	"slices"
	"time"
)

// Latency is how long after the log entry that decided it the kernel had a ban, as exiled wrote into the journal. Times are in µs.
type Latency struct {
	Bans    int   `json:"bans"` // for which it is known
	Median  int64 `json:"median_usec"`
	Most    int64 `json:"p95_usec"` // 95 of 100 bans took no longer
	Longest int64 `json:"max_usec"`
	Counts  []int `json:"counts"` // of bans that took less than each of LatencyLimits; each is counted once, and the last number is of those above
}

// latencyLimits divide latencies, in µs, almost evenly on a logarithmic scale.
var latencyLimits = [...]int64{1e3, 2e3, 5e3, 10e3, 20e3, 50e3, 100e3, 200e3, 500e3, 1e6, 2e6, 5e6}

// LatencyLimits returns what divides the counts of a Latency, in µs.
func LatencyLimits() []int64 { return latencyLimits[:] }

// Latencies collects latencies in a memory that does not grow with their number.
type Latencies struct {
	counts [len(latencyLimits) + 1]int
	fine   [fineCount]int
	longest,
	all int64
}

// For quantiles, latencies are counted by the power of two of their microseconds, each in fineParts parts: a quantile is right to 1/fineParts.
const (
	fineParts = 32
	fineCount = 42 * fineParts // up to 2⁴¹ µs, 25 days
)

// Add adds one.
func (l *Latencies) Add(d time.Duration) {
	us := max(d.Microseconds(), 0)
	l.all++
	l.longest = max(l.longest, us)
	l.fine[fineOf(us)]++
	at, exact := slices.BinarySearch(latencyLimits[:], us)
	if exact {
		at++
	}
	l.counts[at]++
}

// fineOf is the number of the part that a latency is in.
func fineOf(us int64) int {
	power := max(bits.Len64(uint64(us))-1, 0)
	within := us - int64(1)<<power
	return min(power*fineParts+int(max(within, 0)*fineParts>>power), fineCount-1)
}

// fineFrom is where a part begins.
func fineFrom(i int) int64 {
	power := i / fineParts
	return int64(1)<<power + int64(i%fineParts)<<power/fineParts
}

// Summary returns what is known of all.
func (l *Latencies) Summary() Latency {
	return Latency{int(l.all), l.quantile(50), l.quantile(95), l.longest, l.counts[:]}
}

// quantile returns what that part of the latencies, in percent, is not above, rounded down.
func (l *Latencies) quantile(percent int64) int64 {
	var seen int64
	for i, n := range l.fine {
		if seen += int64(n); n > 0 && 100*seen >= percent*l.all {
			return fineFrom(i)
		}
	}
	return 0
}
