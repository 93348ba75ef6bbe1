package firewalltest

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"exile/firewall"
)

// Many returns n bans of single addresses or /64s of one family, all different.
func Many(n int, v6 bool, until time.Time) []firewall.Ban {
	bans := make([]firewall.Ban, n)
	for i := range bans {
		bans[i].Until = until
		if v6 {
			var a [16]byte
			a[0], a[1] = 0xfd, 0x10
			binary.BigEndian.PutUint32(a[4:], uint32(i))
			bans[i].Prefix = netip.PrefixFrom(netip.AddrFrom16(a), 64)
		} else {
			a := [4]byte{11}
			binary.BigEndian.PutUint32(a[:], 11<<24+uint32(i))
			bans[i].Prefix = netip.PrefixFrom(netip.AddrFrom4(a), 32)
		}
	}
	return bans
}

// scattered is Many with addresses that lie as those of attackers do, all over: a dense block is kinder to caches. They come
// in the order of their prefixes, as the daemon asks for them.
func scattered(n int, v6 bool, until time.Time) []firewall.Ban {
	bans := Many(n, v6, until)
	for i := range bans {
		x := uint32(i) * 0x9e3779b1 << 2 >> 2 // each step is one to one on 30 bits, so that all differ
		x = (x ^ x>>15) * 0x85ebca6b << 2 >> 2
		x ^= x >> 15
		if v6 {
			a := bans[i].Prefix.Addr().As16()
			binary.BigEndian.PutUint32(a[4:], x)
			bans[i].Prefix = netip.PrefixFrom(netip.AddrFrom16(a), 64)
		} else {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], 1<<31|x)
			bans[i].Prefix = netip.PrefixFrom(netip.AddrFrom4(a), 32)
		}
	}
	slices.SortFunc(bans, func(a, b firewall.Ban) int { return a.Prefix.Compare(b.Prefix) })
	return bans
}

// testMany bans so many that every message, buffer and set size is passed.
func testMany(t *testing.T, b *bench) {
	b.holdsMany(t, 1000)
	if !testing.Short() {
		b.holdsMany(t, 100_000)
	}
}

// Million holds the backend against the contract with a million bans. It takes a dozen seconds and a gigabyte, so it skips
// with -short.
func Million(t *testing.T, open Open, lacks ...Lack) {
	if testing.Short() {
		t.Skip("SKIPPED: a million bans take too long for -short")
	}
	b := suite{openBackend: open, lacks: lacks}.bench(t)
	b.holdsMany(t, 1_000_000)
	b.ends(t)
}

// holdsMany bans n addresses and a tenth as many networks, lifts half of all, and destroys the rest.
func (b *bench) holdsMany(t *testing.T, n int) {
	t.Helper()
	bans := append(Many(n, false, until()), Many(n/10, true, until())...)
	bans = append(bans, ban("10.9.0.2/32", until()))
	b.add(t, bans...)
	b.holds(t, bans)
	b.banned(t, "10.9.0.2")
	b.free(t, "10.9.0.3")
	b.del(t, bans[:len(bans)/2]...)
	b.holds(t, bans[len(bans)/2:])
	b.banned(t, "10.9.0.2")
	if err := b.Destroy(t.Context()); err != nil {
		t.Fatalf("Destroy: %v", err)
	}
	b.holds(t, nil)
}
