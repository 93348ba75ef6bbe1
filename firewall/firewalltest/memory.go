package firewalltest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"exile/firewall"
)

// benchMemory is what a ban costs the kernel. The figure is of the whole machine, so it is as good as the machine is quiet:
// with so many bans, what others do meanwhile is a few bytes of it.
func benchMemory(b *testing.B, open func(testing.TB, NetNS) firewall.Backend, n int) {
	for _, family := range []string{"v4", "v6"} {
		b.Run(family, func(b *testing.B) {
			bans := scattered(n, family == "v6", time.Now().Add(24*time.Hour))
			var used int64
			for b.Loop() {
				backend := open(b, New(b))
				time.Sleep(2 * time.Second) // the kernel frees late what was there before
				before := kernelMemory(b)
				benchApply(b, backend, firewall.Change{Add: bans})
				used += kernelMemory(b) - before
				if err := backend.Destroy(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(used)/float64(b.N)/float64(n), "kernelB/ban")
			b.ReportMetric(0, "ns/op") // not shown: it says nothing
		})
	}
}

// kernelMemory is how many bytes the kernel has in use for objects, by slabinfo(5), and for large tables, by VmallocUsed of
// proc_meminfo(5).
func kernelMemory(b *testing.B) (sum int64) {
	b.Helper()
	for line := range strings.Lines(read(b, "/proc/slabinfo")) {
		var name string
		var active, total, size int64
		if _, err := fmt.Sscan(line, &name, &active, &total, &size); err == nil { // not so the two lines of its head
			sum += active * size
		}
	}
	_, rest, _ := strings.Cut(read(b, "/proc/meminfo"), "\nVmallocUsed:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		b.Fatal("read VmallocUsed of /proc/meminfo:", err)
	}
	return sum + kilobytes<<10
}

func read(b *testing.B, name string) string {
	b.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}
