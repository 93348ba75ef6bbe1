package route

import (
	"context"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"exile/firewall"
	"exile/firewall/internal/bulk"
)

// batch sends a request for the prefix of each item, and calls done with each for which nothing is left to do. It goes on
// after a refusal: one bad route must not keep out the others. The error names the first refusal and their number.
func batch[T any](ctx context.Context, b *Backend, typ uint16, items []T, prefix func(T) netip.Prefix, done func(T)) error {
	var first error
	refused := 0
	for part := range slices.Chunk(items, bulk.Max) {
		errs, err := b.exchange(ctx, requests(b.config, typ, part, prefix), nil)
		if err != nil {
			return err
		}
		for i, item := range part {
			err := errs[i]
			if err == nil || settled(typ, err) || b.off[familyOf(prefix(item))] && switchedOff(err) {
				done(item)
				continue
			}
			if refused++; first == nil {
				first = fmt.Errorf("%v: %w", prefix(item), err)
			}
		}
	}
	if refused > 0 {
		return fmt.Errorf("kernel refused %d of %d, first %w", refused, len(items), first)
	}
	return nil
}

// spread orders bans of IPv4 by their bits reversed, so that neighbours do not follow each other. The kernel's trie of IPv4
// (fib_trie) would resize its nodes again and again, and take half as long again. That of IPv6 is fastest with neighbours,
// which is the order of the daemon.
func spread(bans []firewall.Ban) []firewall.Ban {
	out := make([]firewall.Ban, 0, len(bans))
	width := bits.Len(uint(max(len(bans)-1, 0)))
	for i := range uint64(1) << width {
		if n := bits.Reverse64(i) >> (64 - width); n < uint64(len(bans)) && bans[n].Prefix.Addr().Is4() {
			out = append(out, bans[n])
		}
	}
	for _, b := range bans {
		if !b.Prefix.Addr().Is4() {
			out = append(out, b)
		}
	}
	return out
}

// requests makes one request for each item.
func requests[T any](c Config, typ uint16, items []T, prefix func(T) netip.Prefix) []bulk.Request {
	const size = 32 // of the longest: struct rtmsg and an IPv6 address
	bodies := make([]byte, 0, size*len(items))
	requests := make([]bulk.Request, len(items))
	for i, item := range items {
		from := len(bodies)
		bodies = c.appendRoute(bodies, prefix(item))
		requests[i] = bulk.Request{Type: typ, Flags: flags(typ), Body: bodies[from:]}
	}
	return requests
}
