package route

import (
	"context"
	"net/netip"
	"slices"

	"exile/firewall"
	"exile/firewall/internal/bulk"

	"golang.org/x/sys/unix"
)

// Find implements firewall.Finder. The kernel counts nothing for a route, and knows no end of it: those found have none.
func (b *Backend) Find(ctx context.Context, keys []firewall.Key) (found []firewall.Found, err error) {
	ours := b.ours.Load()
	if ours == nil {
		return nil, ctx.Err()
	}
	conn, err := bulk.Dial(unix.NETLINK_ROUTE, ours.NetNS)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	look := &Backend{config: *ours, dump: conn.Dump}
	there := make(map[netip.Prefix]bool)
	for _, family := range families {
		if !slices.ContainsFunc(keys, func(k firewall.Key) bool { return familyOf(k.Prefix) == family }) {
			continue
		}
		if ruled, err := look.hasRule(ctx, family); err != nil || !ruled {
			return nil, err
		}
		if err := look.dumpRoutes(ctx, family, func(p netip.Prefix) { there[p] = true }, func() {}); err != nil {
			return nil, err
		}
	}
	for _, k := range keys {
		if there[k.Prefix] {
			found = append(found, firewall.Found{Ban: firewall.Ban{Key: k}})
		}
	}
	return found, nil
}
