package route

import (
	"testing"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	firewalltest.Run(t, func(t *testing.T, ns firewalltest.NetNS) firewall.Backend { return opened(t, ns) },
		firewalltest.LacksPorts, firewalltest.LacksUDP, firewalltest.LacksCut, firewalltest.LacksMeter, firewalltest.LacksExpiry)
}
