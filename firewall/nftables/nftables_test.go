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

// plain makes a backend as on a kernel that has no owned tables.
func plain(t testing.TB, ns firewalltest.NetNS) *Backend {
	t.Helper()
	b := opened(t, ns)
	if err := b.makeTable(); err != nil {
		t.Fatal(err)
	}
	b.claimed = true
	return b
}

// TestConformance runs one suite after the other: all the labs of both have more neighbours than the kernel keeps.
func TestConformance(t *testing.T) {
	for name, open := range map[string]func(testing.TB, firewalltest.NetNS) *Backend{"owned table": opened, "plain table": plain} {
		t.Run(name, func(t *testing.T) {
			firewalltest.Run(t, func(t *testing.T, ns firewalltest.NetNS) firewall.Backend { return open(t, ns) })
		})
	}
}

func openBackend(t *testing.T, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) }

func TestCuts(t *testing.T) {
	t.Parallel()
	firewalltest.Cuts(t, openBackend, sockdestroy.Kill)
}

func TestMillion(t *testing.T) {
	t.Parallel()
	firewalltest.Million(t, openBackend)
}
