package adaptive_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"exile/jail"
	"exile/jail/adaptive"
)

// BenchmarkAdaptive is the cost of an attempt, by the number of addresses that take turns. Half of them try names that
// are evidence, and are banned at once.
func BenchmarkAdaptive(b *testing.B) {
	for _, hosts := range []int{1000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			d := adaptive.New(adaptive.Default())
			var accounts []string
			for i := range 40 {
				accounts = append(accounts, fmt.Sprintf("%c-account%d", 'a'+i%26, i))
			}
			d.SetAccounts(accounts, nil)
			users := make([]string, 500)
			for i := range users {
				users[i] = fmt.Sprintf("user%d", i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(b)
			var out []jail.Verdict
			var addr [4]byte
			for i := range b.N {
				binary.BigEndian.PutUint32(addr[:], uint32(i%hosts)*2654435761)
				a := jail.Attempt{Time: start.Add(time.Duration(i) * time.Second), Addr: netip.AddrFrom4(addr), Guesses: 1}
				a.User, a.Unknown = users[i%len(users)], i%2 == 0
				out = d.Observe(a, out[:0])
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
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
