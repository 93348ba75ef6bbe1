package route

import (
	"fmt"
	"strings"
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func BenchmarkBackend(b *testing.B) {
	firewalltest.Benchmark(b, func(t testing.TB, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) }, firewalltest.Tool{
		Fill: "ip -batch -",
		Script: func(bans []firewall.Ban, _ bool) string {
			var s strings.Builder
			for _, ban := range bans {
				fmt.Fprintf(&s, "route add blackhole %v table 166 proto 166\n", ban.Prefix)
			}
			return s.String()
		},
		Empty: "ip route flush table 166; ip -6 route flush table 166; true",
	})
}

// BenchmarkRepair is somebody who flushes our routing table, and somebody who deletes the rule that has it asked.
func BenchmarkRepair(b *testing.B) {
	for name, command := range map[string]string{"routes": "ip route flush table 166", "rule": "ip rule del pref 100"} {
		b.Run(name, func(b *testing.B) {
			firewalltest.BenchmarkRepair(b, func(t testing.TB, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) }, command)
		})
	}
}
