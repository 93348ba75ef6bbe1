package route

import (
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/sockdestroy"
)

var lacks = []firewalltest.Lack{
	firewalltest.LacksPorts, firewalltest.LacksUDP, firewalltest.LacksCut, firewalltest.LacksMeter, firewalltest.LacksTally, firewalltest.LacksSpare, firewalltest.LacksExpiry,
}

func TestConformance(t *testing.T) {
	t.Parallel()
	firewalltest.Run(t, openBackend, lacks...)
}

func TestCuts(t *testing.T) {
	t.Parallel()
	firewalltest.Cuts(t, openBackend, sockdestroy.Kill)
}

func TestMillion(t *testing.T) {
	t.Parallel()
	firewalltest.Million(t, openBackend, lacks...)
}

func openBackend(t *testing.T, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) }
