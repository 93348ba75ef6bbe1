package firewall_test

import (
	"fmt"
	"net/netip"
	"time"

	"exile/firewall"
)

// Of three bans in the kernel one is right, one ends at another time, and one is nobody's: the change leaves the first alone.
func ExampleDiff() {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ban := func(prefix string, until time.Time) firewall.Ban {
		return firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(prefix)}, Until: until}
	}
	want := []firewall.Ban{
		ban("192.0.2.1/32", noon),
		ban("192.0.2.2/32", noon.Add(time.Hour)),
		ban("2001:db8::/64", time.Time{}), // for ever
	}
	have := []firewall.Ban{
		ban("192.0.2.1/32", noon.Add(time.Second)), // kernels round
		ban("192.0.2.2/32", noon),
		ban("198.51.100.7/32", noon),
	}
	change := firewall.Diff(want, have)
	for _, b := range change.Add {
		fmt.Println("add", b.Prefix)
	}
	for _, k := range change.Del {
		fmt.Println("delete", k.Prefix)
	}
	// Output:
	// add 192.0.2.2/32
	// add 2001:db8::/64
	// delete 198.51.100.7/32
}
