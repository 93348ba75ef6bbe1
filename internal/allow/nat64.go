package allow

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"exile/jail"
)

const (
	// wellKnown is a name that has two IPv4 addresses and no others; DNS64 makes the others (RFC 7050).
	wellKnown = "ipv4only.arpa"
	// translatorsAge is how often it is looked up.
	translatorsAge = time.Hour
	// maxTranslators is how many prefixes are used.
	maxTranslators = 8
)

// Translators returns the prefixes by which the network of this host embeds IPv4 in IPv6 (NAT64, SIIT), as its DNS64 shows them: at most
// eight, and none if there is no DNS64. An error means that there was no answer.
func Translators(ctx context.Context, r Resolver) ([]netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, _, err := r.Resolve(ctx, wellKnown)
	if err != nil {
		return nil, err
	}
	return translating(addrs), nil
}

// FollowTranslators looks them up at once and then from time to time, and calls told with each answer, until ctx ends. Without an answer the last
// one stays valid.
func FollowTranslators(ctx context.Context, r Resolver, told func([]netip.Prefix)) {
	for {
		next := translatorsAge
		if prefixes, err := Translators(ctx, r); err == nil {
			told(prefixes)
		} else {
			next = retryAfter
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

// translating returns the prefixes that embed both addresses of the well-known name: one alone may be chance.
func translating(addrs []netip.Addr) []netip.Prefix {
	found := make(map[netip.Prefix]int)
	for _, addr := range addrs {
		for _, bits := range jail.TranslatorBits() {
			switch p, v4 := embedded(addr, bits); v4 {
			case netip.AddrFrom4([4]byte{192, 0, 0, 170}):
				found[p] |= 1
			case netip.AddrFrom4([4]byte{192, 0, 0, 171}):
				found[p] |= 2
			}
		}
	}
	var list []netip.Prefix
	for p, both := range found {
		if both == 3 {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return list[:min(len(list), maxTranslators)]
}

// embedded returns the IPv4 address that a translator with a prefix of that length put into an address (RFC 6052, 2.2): bits 64 to 71 and those
// behind the IPv4 address are zero. It returns the zero Addr if no translator did.
func embedded(a netip.Addr, bits int) (p netip.Prefix, v4 netip.Addr) {
	if !a.Is6() {
		return p, v4
	}
	b := a.As16()
	var inside [4]byte
	at := bits / 8
	for i := range inside {
		if at == 8 {
			at++
		}
		inside[i] = b[at]
		at++
	}
	for _, rest := range b[at:] {
		if rest != 0 {
			return p, v4
		}
	}
	if b[8] != 0 {
		return p, v4
	}
	p, _ = a.Prefix(bits)
	return p, netip.AddrFrom4(inside)
}
