package jail

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"
)

// Friend is a prefix that is never banned.
type Friend struct {
	Prefix netip.Prefix
	Why    string // for people: "ignoreip 192.0.2.0/24"
}

// OwnAddress is why an address of this host is never banned.
const OwnAddress = "own address"

// Gateway is why the host's gateway is never banned.
const Gateway = "gateway"

// EngineNetwork is why an address inside of the network of a rootless container engine is never banned.
const EngineNetwork = "container engine's own network"

// Friends is a set of prefixes that are never banned. It never changes, so any goroutine may read it.
type Friends struct {
	trie bart.Table[string]
}

// NewFriends returns the set of those, and of the loopback addresses, which reach a service from nowhere else. If a prefix
// is there twice, the first reason wins.
func NewFriends(list []Friend) *Friends {
	f := &Friends{}
	for _, friend := range append(slices.Clip(list),
		Friend{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		Friend{netip.MustParsePrefix("::1/128"), "loopback"},
	) {
		if _, ok := f.trie.Get(friend.Prefix); !ok {
			f.trie.Insert(friend.Prefix, friend.Why)
		}
	}
	return f
}

// Allowed implements Allow. The reason is that of the narrowest prefix.
func (f *Friends) Allowed(addr netip.Addr, _ time.Time) (why string, ok bool) {
	return f.trie.Lookup(addr.Unmap().WithZone(""))
}

// Prefixes returns all of them, in any order.
func (f *Friends) Prefixes() (all []netip.Prefix) {
	for p := range f.trie.All() {
		all = append(all, p)
	}
	return all
}

// Touches reports whether a ban of p would hit a friend, and which.
func (f *Friends) Touches(p netip.Prefix) (why string, ok bool) {
	if why, ok = f.trie.LookupPrefix(p); ok {
		return why, true
	}
	for _, why = range f.trie.Subnets(p) {
		return why, true
	}
	return "", false
}
