package jail_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"exile/jail"
	"exile/journal"
)

// BenchmarkSources is a million log lines, each of a connection of its own, of few and of many attackers in random order:
// what a line costs does not depend on how many attack. The numbers are for a whole million.
func BenchmarkSources(b *testing.B) {
	const events = 1_000_000
	for _, sources := range []uint32{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(sources), func(b *testing.B) {
			lines := attackLines(sources, events)
			b.ResetTimer()
			cpu := cpuTime(b)
			for b.Loop() {
				j := newJail(b, scaleConfig(), nil)
				var e journal.Entry
				bans := 0
				for i := range events {
					e.Time = start.Add(time.Duration(i) * 100 * time.Microsecond)
					e.PID, e.Message = int32(i%4_000_000+2), lines.at(i)
					bans += len(j.Observe(&e))
				}
				b.ReportMetric(float64(bans), "bans")
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N)/events, "cpu-ns/line")
		})
	}
}

// cpuTime is the processor time of this process. It says more than the wall clock where others are at work.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func scaleConfig() jail.Config {
	cfg := tutorial()
	cfg.MaxRetry, cfg.FindTime, cfg.MaxTracked = 5, time.Hour, 1_000_000
	return cfg
}

// log is many lines in one piece, which the garbage collector need not look through.
type log struct {
	text []byte
	ends []int
}

func (l *log) at(i int) []byte {
	if i == 0 {
		return l.text[:l.ends[0]]
	}
	return l.text[l.ends[i-1]:l.ends[i]]
}

func attackLines(sources uint32, n int) *log {
	random := rand.New(rand.NewPCG(1, 2))
	l := &log{}
	var a [4]byte
	for i := range n {
		binary.BigEndian.PutUint32(a[:], 1<<24+random.Uint32N(sources))
		l.text = fmt.Appendf(l.text, "Failed password for root from %v port %d ssh2", netip.AddrFrom4(a), 1024+i%60000)
		l.ends = append(l.ends, len(l.text))
	}
	return l
}
