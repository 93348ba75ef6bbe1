package allow

import (
	"context"
	"net/netip"

	"exile/jail"
)

// Host follows the addresses of this host, and its gateways, whose ban would cut the host off. It calls changed with all of them, at once
// and after each change.
type Host func(ctx context.Context, changed func(own, gateways []netip.Addr)) error

// Follow implements Addresses.
func (h Host) Follow(ctx context.Context, changed func([]jail.Friend)) error {
	return h(ctx, func(own, gateways []netip.Addr) {
		list := make([]jail.Friend, 0, len(own)+len(gateways))
		for _, a := range own {
			list = append(list, friend(a, jail.OwnAddress))
		}
		for _, a := range gateways {
			list = append(list, friend(a, jail.Gateway))
		}
		changed(list)
	})
}

func friend(addr netip.Addr, why string) jail.Friend {
	addr = addr.Unmap().WithZone("")
	return jail.Friend{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Why: why}
}
