package firewalltest

import (
	"encoding/binary"
	"net/netip"
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
