package ipset

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func BenchmarkBackend(b *testing.B) {
	openAt := func(t testing.TB, ns firewalltest.NetNS) firewall.Backend { return open(t, Config{NetNS: ns.FD}) }
	firewalltest.Benchmark(b, openAt, firewalltest.Tool{
		Fill: "ipset restore",
		Script: func(bans []firewall.Ban, v6 bool) string {
			var s strings.Builder
			family := map[bool]string{false: "inet", true: "inet6"}[v6]
			fmt.Fprintf(&s, "create tool hash:net family %s timeout 0 maxelem %d\n", family, mostElem)
			for _, ban := range bans {
				fmt.Fprintf(&s, "add tool %v timeout 86400\n", ban.Prefix)
			}
			return s.String()
		},
		Empty: "ipset destroy tool",
	})
}

// BenchmarkMemory is what a ban costs the kernel.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for i, family := range []string{"v4", "v6"} {
			b.Run(fmt.Sprintf("%s/%d", family, n), func(b *testing.B) {
				backend := open(b, Config{NetNS: firewalltest.New(b).FD})
				c := firewall.Change{Add: firewalltest.Many(n, family == "v6", time.Now().Add(time.Hour))}
				for b.Loop() {
					if err := backend.Apply(b.Context(), c); err != nil {
						b.Fatal(err)
					}
				}
				h, err := backend.kernel.header(backend.sets[i].name)
				if err != nil || int(h.elements) != n {
					b.Fatalf("%d elements, %v; want %d", h.elements, err, n)
				}
				b.ReportMetric(float64(h.memory)/float64(h.elements), "kernelB/ban")
			})
		}
	}
}

// BenchmarkRepair is a foreign flush on a kernel that cannot protect our tables.
func BenchmarkRepair(b *testing.B) {
	firewalltest.BenchmarkRepair(b, func(t testing.TB, ns firewalltest.NetNS) firewall.Backend {
		backend := open(t, Config{NetNS: ns.FD})
		unprotect(t, backend)
		return backend
	}, "nft flush ruleset")
}
