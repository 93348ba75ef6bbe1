package replay

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLatencies: each is counted once, below the limit that it does not reach, and quantiles are right to a thirty-second.
func TestLatencies(t *testing.T) {
	t.Parallel()
	var none Latencies
	if got := none.Summary(); got.Bans != 0 || got.Median != 0 || got.Longest != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	var all Latencies
	for ms := range 1000 {
		all.Add(time.Duration(ms) * time.Millisecond)
	}
	all.Add(-time.Second)
	all.Add(time.Hour)
	want := Latency{
		Bans: 1002, Median: 499_000, Most: 949_000, Longest: 3600e6,
		Counts: []int{2, 1, 3, 5, 10, 30, 50, 100, 300, 500, 0, 0, 1},
	}
	got := all.Summary()
	for _, q := range []struct {
		got  *int64
		want int64
	}{{&got.Median, want.Median}, {&got.Most, want.Most}} {
		if *q.got <= q.want && *q.got >= q.want-q.want/fineParts {
			*q.got = q.want
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	all.Add(1<<63 - 1) // does not run out of the table
}
