package daemon_test

import (
	"runtime"
	"testing"
)

// BenchmarkMemory says how much of the heap bans take, with their past.
func BenchmarkMemory(b *testing.B) {
	const many = 300_000
	for range b.N {
		before := heap()
		_, _, stop := flushable(b, many)
		b.ReportMetric(float64(heap()-before)/many, "B/ban")
		stop()
	}
}

// heap is what is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one freed, the second one has swept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
