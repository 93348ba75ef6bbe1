package firewalltest

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
)

// Tool is how an administrator would do with the system's own tool what a backend does.
type Tool struct {
	Fill   string // the shell command that reads the script
	Script func(bans []firewall.Ban, v6 bool) string
	Empty  string // the shell command that undoes it
}

// Benchmark measures a backend. Its sub-benchmarks have the names exile and tool where both do the same, so that one run
// gives their ratio.
func Benchmark(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, tool Tool) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for _, v6 := range []bool{false, true} {
			bans := scattered(n, v6, time.Now().Add(24*time.Hour))
			family := map[bool]string{false: "v4", true: "v6"}[v6]
			b.Run(fmt.Sprintf("restore/exile/%s/%d", family, n), func(b *testing.B) { benchRestore(b, open, bans) })
			b.Run(fmt.Sprintf("restore/tool/%s/%d", family, n), func(b *testing.B) { benchTool(b, tool, bans, v6) })
		}
	}
	const present = 100_000
	for _, n := range []int{present, 10 * present} {
		b.Run(fmt.Sprintf("restart/%d", n), func(b *testing.B) { benchRestart(b, open, n) })
	}
	b.Run("one", func(b *testing.B) { benchOne(b, open, present) })
	b.Run("count", func(b *testing.B) { benchCount(b, open, present) })
	b.Run("list", func(b *testing.B) { benchList(b, open, present) })
	b.Run("memory", func(b *testing.B) { benchMemory(b, open, 10*present) })
}

func benchCompare(b *testing.B, backend firewall.Backend, want []firewall.Ban) firewall.Change {
	b.Helper()
	have, err := backend.List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return firewall.Diff(want, have)
}

func benchApply(b *testing.B, backend firewall.Backend, c firewall.Change) {
	b.Helper()
	if err := backend.Apply(b.Context(), c); err != nil {
		b.Fatal(err)
	}
}

// benchRestore is a start with nothing in the kernel: open, list, compare, ban.
func benchRestore(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, bans []firewall.Ban) {
	ns := New(b)
	var used processor
	for b.Loop() {
		before := cpu(b, unix.RUSAGE_SELF)
		backend := open(b, ns)
		benchApply(b, backend, benchCompare(b, backend, bans))
		used.add(cpu(b, unix.RUSAGE_SELF), before)
		b.StopTimer()
		if c := benchCompare(b, backend, bans); !c.Empty() {
			b.Fatalf("kernel lacks %d bans and has %d too many", len(c.Add), len(c.Del))
		}
		if err := errors.Join(backend.Destroy(b.Context()), backend.Close()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	reportRestore(b, len(bans), used)
}

// processor is time that the processors spent, in nanoseconds: on a busy machine it tells more than the clock on the wall.
type processor struct{ user, kernel int64 }

func (p *processor) add(after, before processor) {
	p.user += after.user - before.user
	p.kernel += after.kernel - before.kernel
}

// reportRestore adds what the processors spent, and which part of it in the kernel.
func reportRestore(b *testing.B, bans int, used processor) {
	perOp := func(ns int64) float64 { return float64(ns) / 1e6 / float64(b.N) }
	b.ReportMetric(float64(bans*b.N)/b.Elapsed().Seconds(), "bans/s")
	b.ReportMetric(perOp(used.user+used.kernel), "cpu-ms/op")
	b.ReportMetric(perOp(used.kernel), "kernel-ms/op")
}

// cpu is what this process, or its children that have ended, have used of the processors.
func cpu(b *testing.B, who int) processor {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return processor{u.Utime.Nano(), u.Stime.Nano()}
}

// benchTool has the tool read a script of the same.
func benchTool(b *testing.B, tool Tool, bans []firewall.Ban, v6 bool) {
	ns := New(b)
	script := []byte(tool.Script(bans, v6))
	var used processor
	for b.Loop() {
		before := cpu(b, unix.RUSAGE_CHILDREN)
		ns.Do(b, func() error {
			cmd := exec.Command("sh", "-c", tool.Fill)
			cmd.Stdin = bytes.NewReader(script)
			return cmd.Run()
		})
		used.add(cpu(b, unix.RUSAGE_CHILDREN), before)
		b.StopTimer()
		ns.Exec(b, "sh", "-c", tool.Empty)
		b.StartTimer()
	}
	reportRestore(b, len(bans), used)
}

// benchRestart is a start with all bans but one in the kernel, and one too many.
func benchRestart(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, n int) {
	ns := New(b)
	bans := scattered(n+1, false, time.Now().Add(24*time.Hour))
	for b.Loop() {
		b.StopTimer()
		backend := open(b, ns)
		benchApply(b, backend, benchCompare(b, backend, bans[:n]))
		backend.Close()
		backend = open(b, ns)
		b.StartTimer()
		benchApply(b, backend, benchCompare(b, backend, bans[1:]))
		b.StopTimer()
		if c := benchCompare(b, backend, bans[1:]); !c.Empty() {
			b.Fatalf("kernel lacks %d bans and has %d too many", len(c.Add), len(c.Del))
		}
		backend.Close()
		b.StartTimer()
	}
}

// benchOne is one ban with many there already, from the call until the kernel enforces it, and one that is extended.
func benchOne(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, present int) {
	for _, extend := range []bool{false, true} {
		b.Run(map[bool]string{false: "new", true: "extended"}[extend], func(b *testing.B) {
			backend := open(b, New(b))
			benchApply(b, backend, firewall.Change{Add: scattered(present, false, time.Now().Add(time.Hour))})
			fresh := scattered(1<<16, true, time.Now().Add(time.Hour))
			if extend {
				fresh = scattered(present, false, time.Now().Add(2*time.Hour))
			}
			var took []time.Duration
			for b.Loop() {
				i := len(took) % len(fresh)
				start := time.Now()
				benchApply(b, backend, firewall.Change{Add: fresh[i : i+1]})
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// benchCount is the look that the daemon takes each minute.
func benchCount(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, present int) {
	backend := open(b, New(b))
	benchApply(b, backend, firewall.Change{Add: scattered(present, false, time.Now().Add(time.Hour))})
	for b.Loop() {
		if n, err := backend.(firewall.Counter).Count(b.Context()); err != nil || n != present {
			b.Fatalf("Count = %d, %v; want %d", n, err, present)
		}
	}
}

// benchList is the comparison after a doubt, when nobody has touched anything and when somebody may have.
func benchList(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, n int) {
	for _, doubt := range []bool{false, true} {
		b.Run(map[bool]string{false: "calm", true: "doubt"}[doubt], func(b *testing.B) {
			ns := New(b)
			backend := open(b, ns)
			bans := scattered(n, false, time.Now().Add(time.Hour))
			benchApply(b, backend, firewall.Change{Add: bans})
			for b.Loop() {
				if doubt {
					b.StopTimer()
					ns.Exec(b, "nft", "add table inet theirs; delete table inet theirs")
					b.StartTimer()
				}
				if c := benchCompare(b, backend, bans); !c.Empty() {
					b.Fatalf("kernel lacks %d bans and has %d too many", len(c.Add), len(c.Del))
				}
			}
		})
	}
}
