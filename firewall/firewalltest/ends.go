package firewalltest

import (
	"slices"
	"testing"
	"time"

	"exile/firewall"
)

// shortly is a ban that ends while the test runs.
const shortly = 3 * time.Second

func testExtend(t *testing.T, b *bench) {
	soon := time.Now().Add(shortly)
	longer := []firewall.Ban{ban("10.9.0.2/32", soon), ban("10.9.1.0/24", soon), ban("fd09:0:1::/64", soon)}
	b.add(t, longer...)
	for i := range longer {
		longer[i].Until = until()
	}
	b.add(t, longer...)
	shorter := ban("10.9.0.3/32", until())
	b.add(t, shorter)
	shorter.Until = time.Now().Add(shortly)
	b.add(t, shorter)
	b.holds(t, append(slices.Clone(longer), shorter))

	time.Sleep(time.Until(shorter.Until) + time.Second)
	if !b.lack(LacksExpiry) {
		b.free(t, "10.9.0.3")
		b.holds(t, longer)
	}
	b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
}

func testExpires(t *testing.T, b *bench) {
	if b.lack(LacksExpiry) {
		t.Skip("the kernel keeps no timeouts for this backend")
	}
	soon := time.Now().Add(shortly)
	b.add(t, ban("10.9.0.2/32", soon), ban("10.9.1.0/24", soon), ban("fd09:0:1::/64", soon), ban("fd09::1/128", soon))
	b.banned(t, "10.9.0.2") // the others take as long: one is enough before the end
	time.Sleep(time.Until(soon) + time.Second)
	b.free(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1", "fd09::1")
	b.holds(t, nil)

	over := ban("10.9.0.2/32", time.Now().Add(-time.Second))
	b.add(t, over)
	b.free(t, "10.9.0.2")
	b.holds(t, nil)
}

func testLong(t *testing.T, b *bench) {
	bans := []firewall.Ban{
		ban("10.9.0.2/32", time.Time{}),
		ban("10.9.1.0/24", time.Now().Add(60*24*time.Hour)),
		ban("fd09:0:1::/64", time.Time{}),
		ban("fd09:0:2::/64", time.Now().Add(10*365*24*time.Hour)),
	}
	b.add(t, bans...)
	b.holds(t, bans)
	b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1", "fd09:0:2::1")
	for i := range bans { // permanent becomes limited and the other way round
		bans[i].Until = until()
	}
	bans[1].Until = time.Time{}
	b.add(t, bans...)
	b.holds(t, bans)
	b.del(t, bans...)
	b.holds(t, nil)
}
