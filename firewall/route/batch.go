package route

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"exile/firewall/internal/bulk"
)

// batch sends one request for each item, about its prefix, and calls done with each that the kernel made or found made. It
// goes on after a refusal: one bad route must not keep out the others. The error names the first refusal and counts them.
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
