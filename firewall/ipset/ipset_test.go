package ipset

import (
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func open(t testing.TB, cfg Config) *Backend {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestConformance(t *testing.T) {
	t.Parallel()
	firewalltest.Run(t, func(t *testing.T, ns firewalltest.NetNS) firewall.Backend {
		return open(t, Config{NetNS: ns.FD})
	})
}
