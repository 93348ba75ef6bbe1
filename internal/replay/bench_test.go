package replay_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"exile/internal/banning"
	"exile/internal/replay"
	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// BenchmarkReplay is a million entries, read already, of few and of many attackers, each a connection of its own: parse, count, decide. The figures
// are for a whole million. The memory is what is in use at the end, without the lines.
func BenchmarkReplay(b *testing.B) {
	const entries = 1_000_000
	for _, c := range []struct {
		sources  uint32
		maxRetry int
	}{{1_000, 3}, {100_000, 3}, {1_000_000, 3}, {1_000_000, 1}} {
		b.Run(fmt.Sprintf("%d/maxretry=%d", c.sources, c.maxRetry), func(b *testing.B) {
			lines := attackLines(c.sources, entries)
			before := inUse()
			b.ResetTimer()
			cpu := cpuTime(b)
			for b.Loop() {
				r, jails := newReplayOf(b, 1_000_000, c.maxRetry)
				var e journal.Entry
				for i := range entries {
					e.Time = time.UnixMicro(1_700_000_000_000_000 + int64(i)*1000)
					e.PID, e.Message = int32(i%4_000_000+2), lines.at(i)
					r.Observe(jails, &e)
				}
				r.Finish()
				rep := r.Report()
				b.ReportMetric(float64(rep.Bans), "bans")
				b.ReportMetric(float64(rep.Count.Prevented), "prevented")
				spent := cpuTime(b)
				b.ReportMetric(float64(inUse()-before)/1e6, "MB")
				cpu += cpuTime(b) - spent
				runtime.KeepAlive(r)
			}
			runtime.KeepAlive(lines)
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N)/entries, "cpu-ns/entry")
		})
	}
}

// inUse is how much memory objects take, in bytes.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// newReplay runs one jail for sshd: three guesses within ten minutes ban for an hour, which doubles.
func newReplay(tb testing.TB, tracked int) (*replay.Replay, []*replay.Jail) {
	tb.Helper()
	return newReplayOf(tb, tracked, 3)
}

func newReplayOf(tb testing.TB, tracked, maxRetry int) (*replay.Replay, []*replay.Jail) {
	tb.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	j, err := jail.New(jail.Config{
		Name: "sshd", Detection: jail.Threshold, MaxRetry: maxRetry, FindTime: 10 * time.Minute, BanTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64,
		MaxTracked: tracked,
	}, f, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	jails := []*replay.Jail{{
		Accepts: func(*journal.Entry) bool { return true },
		Jail: banning.Jail{
			Jail: j, Name: "sshd", Remember: 24 * time.Hour,
			Length: func(n int, _ netip.Prefix) time.Duration { return time.Hour << min(n-1, 10) },
		},
	}}
	return replay.New(replay.Rules{Jails: jails}), jails
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
		l.text = fmt.Appendf(l.text, "Failed password for invalid user admin%d from %v port %d ssh2", i%977, netip.AddrFrom4(a), 1024+i%60000)
		l.ends = append(l.ends, len(l.text))
	}
	return l
}
