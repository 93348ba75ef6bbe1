package firewalltest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"exile/firewall"
)

func testIdempotent(t *testing.T, b *bench) {
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("10.9.1.0/24", time.Time{}), ban("fd09:0:1::/64", until())}
	for range 2 {
		b.add(t, bans...)
		b.holds(t, bans)
	}
	b.add(t, bans[0], bans[0]) // twice in one change
	for range 2 {
		b.del(t, bans[:2]...)
		b.holds(t, bans[2:])
	}
	b.del(t, bans[2], bans[2])
	b.holds(t, nil)
	if err := b.Apply(t.Context(), firewall.Change{}); err != nil {
		t.Errorf("empty change: %v", err)
	}
	for range 2 {
		if err := b.Destroy(t.Context()); err != nil {
			t.Errorf("Destroy: %v", err)
		}
		b.holds(t, nil)
	}
	b.add(t, bans...) // a destroyed backend can be used again
	b.holds(t, bans)
	b.banned(t, "10.9.0.2", "fd09:0:1::1")
}

func testBadKeys(t *testing.T, b *bench) {
	good := ban("10.9.0.2/32", until())
	for _, p := range []netip.Prefix{
		{},
		netip.PrefixFrom(netip.MustParseAddr("10.9.0.2"), 24),
		netip.PrefixFrom(netip.MustParseAddr("::ffff:10.9.0.2"), 128),
		netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("::/0"),
	} {
		bad := firewall.Ban{Key: firewall.Key{Prefix: p}, Until: until()}
		if err := b.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{good, bad}}); err == nil {
			t.Errorf("ban of %v: no error", p)
		}
	}
	b.holds(t, nil)
}

func testCancelled(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List with a cancelled context: error %v", err)
	}
	err := b.Apply(ctx, firewall.Change{Add: []firewall.Ban{ban("10.9.0.2/32", until())}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Apply with a cancelled context: error %v", err)
	}
	b.holds(t, nil)
}

func testReopen(t *testing.T, b *bench) {
	bans := []firewall.Ban{ban("10.9.0.2/32", until()), ban("10.9.1.0/24", time.Time{}), ban("fd09:0:1::/64", until())}
	b.add(t, bans...)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
		again := b.openBackend(t, b.host)
		t.Cleanup(func() { again.Close() })
		b.Backend = again
		if b.lack(LacksExpiry) {
			b.add(t, b.missing(t, bans).Add...)
		}
		b.holds(t, bans)
		b.banned(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
	}
	b.del(t, bans...)
	b.free(t, "10.9.0.2", "10.9.1.1", "fd09:0:1::1")
}
