package jail

import (
	"net/netip"
	"testing"
	"time"
)

// The pardon of an address or of a network looks at nobody else, however many are remembered: a flush is a million pardons.
func TestThresholdForgetLooksAtNobodyElse(t *testing.T) {
	t.Parallel()
	counting := newThreshold(Config{MaxRetry: 5, FindTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 30_000})
	fillThreshold(counting, 1000)
	counting.hosts.Trap()
	for _, text := range []string{"203.0.113.7/32", "203.0.113.0/24", "2001:db8:ffff:1::/64", "2001:db8:ffff:1::1/128", "2001:db8:ffff::/56"} {
		counting.Forget(netip.MustParsePrefix(text))
	}
}
