package route

import (
	"context"
	"fmt"
	"net/netip"

	"exile/firewall/internal/bulk"
)

// batch sends one request for each prefix and calls done with the index of each that the kernel made or found made. It
// goes on after a refusal: one bad route must not keep out the others. The error names the first refusal and counts them.
func (b *Backend) batch(ctx context.Context, typ uint16, prefixes []netip.Prefix, done func(i int)) error {
	var first error
	refused := 0
	for start := 0; start < len(prefixes); start += bulk.Max {
		part := prefixes[start:min(start+bulk.Max, len(prefixes))]
		errs, err := b.conn.Exchange(ctx, b.requests(typ, part), nil)
		if err != nil {
			return err
		}
		for i, p := range part {
			err := errs[i]
			if err == nil || settled(typ, err) {
				done(start + i)
				continue
			}
			if refused++; first == nil {
				first = fmt.Errorf("%v: %w", p, err)
			}
		}
	}
	if refused > 0 {
		return fmt.Errorf("kernel refused %d of %d, first %w", refused, len(prefixes), first)
	}
	return nil
}

// requests makes one request for each prefix.
func (b *Backend) requests(typ uint16, prefixes []netip.Prefix) []bulk.Request {
	const size = 32 // of the longest: struct rtmsg and an IPv6 address
	bodies := make([]byte, 0, size*len(prefixes))
	requests := make([]bulk.Request, len(prefixes))
	for i, p := range prefixes {
		from := len(bodies)
		bodies = b.config.appendRoute(bodies, p)
		requests[i] = bulk.Request{Type: typ, Flags: flags(typ), Body: bodies[from:]}
	}
	return requests
}
