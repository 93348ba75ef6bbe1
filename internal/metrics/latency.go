package metrics

import (
	"strconv"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of the histogram's buckets.
var bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// latency is a histogram of durations, with one writer and any number of readers. A reader may see a duration in its bucket
// before it is in the sum; the next page corrects that.
type latency struct {
	buckets [len(bounds) + 1]atomic.Uint64 // not cumulative; the last is for durations above all bounds
	sum     atomic.Int64                   // nanoseconds
}

func (l *latency) observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	l.buckets[i].Add(1)
	l.sum.Add(int64(d))
}

func (l *latency) write(t *text) {
	t.family("exile_ban_latency_seconds", histogram, "seconds",
		"Time from the log entry that decided a ban to the ban in the kernel.")
	var n uint64
	for i := range l.buckets {
		n += l.buckets[i].Load()
		bound := "+Inf"
		if i < len(bounds) {
			bound = strconv.FormatFloat(bounds[i].Seconds(), 'f', -1, 64)
			if t.open && bounds[i]%time.Second == 0 {
				bound += ".0" // the canonical number of OpenMetrics
			}
		}
		t.line("_bucket", float64(n), []string{"le", bound})
	}
	t.line("_sum", time.Duration(l.sum.Load()).Seconds(), nil)
	t.line("_count", float64(n), nil)
}
