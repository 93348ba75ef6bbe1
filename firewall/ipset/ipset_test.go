package ipset

import (
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/sockdestroy"
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

func openBackend(t *testing.T, ns firewalltest.NetNS) firewall.Backend {
	return open(t, Config{NetNS: ns.FD})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	firewalltest.Run(t, openBackend)
}

func TestCuts(t *testing.T) {
	t.Parallel()
	firewalltest.Cuts(t, openBackend, sockdestroy.Kill)
}

func TestMillion(t *testing.T) {
	t.Parallel()
	firewalltest.Million(t, openBackend)
}
