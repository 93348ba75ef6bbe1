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
	"exile/jail/adaptive"
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

// BenchmarkGrid is 36 rules over the same lines, a quarter of them adaptive as in exilectl suggest, beside one replay: the processor time of both, read
// in turn, and how many times that of the replay the grid takes.
func BenchmarkGrid(b *testing.B) {
	const entries = 200_000
	for _, sources := range []uint32{1_000, 100_000} {
		b.Run(fmt.Sprint(sources), func(b *testing.B) {
			lines := attackLines(sources, entries)
			var one, many time.Duration
			for b.Loop() {
				r, jails := newReplay(b, 1_000_000)
				one += observed(b, lines, entries, func(e *journal.Entry) { r.Observe(jails, e) }, r.Finish)
				g := replay.NewGrid(manyRules(b))
				many += observed(b, lines, entries, g.Observe, g.Finish)
			}
			b.ReportMetric(float64(one)/float64(b.N)/entries, "replay-ns/entry")
			b.ReportMetric(float64(many)/float64(b.N)/entries, "grid-ns/entry")
			b.ReportMetric(float64(many)/float64(one), "times")
		})
	}
}

// observed is the processor time that the lines take, one each millisecond.
func observed(b *testing.B, lines *log, n int, observe func(*journal.Entry), finish func()) time.Duration {
	b.Helper()
	runtime.GC()
	start := cpuTime(b)
	var e journal.Entry
	for i := range n {
		e.Time = time.UnixMicro(1_700_000_000_000_000 + int64(i)*1000)
		e.PID, e.Message = int32(i+2), lines.at(i)
		observe(&e)
	}
	finish()
	return cpuTime(b) - start
}

// manyRules are three limits, windows and lengths of bans, and nine limits of the adaptive detector.
func manyRules(tb testing.TB) (sets []replay.Rules) {
	tb.Helper()
	for i := range 27 {
		sets = append(sets, rulesOf(tb, &jail.Config{
			Detection: jail.Threshold, MaxTracked: 1_000_000, MaxRetry: []int{10, 5, 3}[i%3],
			FindTime: []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour}[i/3%3],
			BanTime:  []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour}[i/9],
		}, nil))
	}
	for i := range 9 {
		settings := adaptive.Default()
		settings.MaxRetry = float64(3 + i)
		cfg := &jail.Config{Detection: jail.Adaptive, FindTime: time.Hour, BanTime: time.Hour, MaxRetry: 3, MaxTracked: 1_000_000}
		sets = append(sets, rulesOf(tb, cfg, adaptive.New(settings)))
	}
	return sets
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
	rules := rulesOf(tb, &jail.Config{Detection: jail.Threshold, MaxRetry: maxRetry, FindTime: 10 * time.Minute, BanTime: time.Hour, MaxTracked: tracked}, nil)
	return replay.New(rules), rules.Jails
}

// rulesOf are those of one jail for sshd, with bans that double.
func rulesOf(tb testing.TB, cfg *jail.Config, decides jail.Detector) replay.Rules {
	tb.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Name, cfg.IPv4Prefix, cfg.IPv6Prefix = "sshd", 32, 64
	j, err := jail.New(*cfg, f, nil, decides)
	if err != nil {
		tb.Fatal(err)
	}
	return replay.Rules{Jails: []*replay.Jail{{
		Accepts: func(*journal.Entry) bool { return true },
		Jail: banning.Jail{
			Jail: j, Name: "sshd", Remember: 24 * time.Hour,
			Length: func(n int, _ netip.Prefix) time.Duration { return cfg.BanTime << min(n-1, 10) },
		},
	}}}
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
