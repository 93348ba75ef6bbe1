package nftables

import (
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/sockdestroy"
)

func opened(t testing.TB, ns firewalltest.NetNS) *Backend {
	t.Helper()
	b, err := New(Config{NetNS: ns.FD})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestConformance(t *testing.T) { firewalltest.Run(t, openBackend, firewalltest.LacksTally) }

func openBackend(t *testing.T, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) }

func TestCuts(t *testing.T) {
	t.Parallel()
	firewalltest.Cuts(t, openBackend, sockdestroy.Kill)
}

func TestMillion(t *testing.T) {
	t.Parallel()
	firewalltest.Million(t, openBackend)
}
