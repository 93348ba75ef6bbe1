package ipset

import (
	"fmt"
	"strings"
	"testing"

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

// BenchmarkRepair is a foreign flush on a kernel that cannot protect our tables.
func BenchmarkRepair(b *testing.B) {
	firewalltest.BenchmarkRepair(b, func(t testing.TB, ns firewalltest.NetNS) firewall.Backend {
		backend := open(t, Config{NetNS: ns.FD})
		unprotect(t, backend)
		return backend
	}, "nft flush ruleset")
}
