package nftables

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func BenchmarkBackend(b *testing.B) {
	firewalltest.Benchmark(b, func(t testing.TB, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) }, firewalltest.Tool{
		Fill: "nft -f -",
		Script: func(bans []firewall.Ban, v6 bool) string {
			var s strings.Builder
			kind := "ipv4_addr"
			if v6 {
				kind = "ipv6_addr"
			}
			fmt.Fprintf(&s, "add table inet exile\nadd set inet exile banned { type %s; flags timeout; }\n", kind)
			for part := range slices.Chunk(bans, 1000) {
				s.WriteString("add element inet exile banned { ")
				for _, ban := range part {
					fmt.Fprintf(&s, "%v timeout 24h, ", ban.Prefix.Addr())
				}
				s.WriteString("}\n")
			}
			return s.String()
		},
		Empty: "nft delete table inet exile",
	})
}

// BenchmarkRepair is a foreign flush on a kernel that cannot protect our table.
func BenchmarkRepair(b *testing.B) {
	firewalltest.BenchmarkRepair(b, func(t testing.TB, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) }, "nft flush ruleset")
}
