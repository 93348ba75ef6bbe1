package firewalltest_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
)

func bans(prefixes ...string) []firewall.Ban {
	var all []firewall.Ban
	for _, p := range prefixes {
		until := time.Now().Add(time.Minute)
		all = append(all, firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(p)}, Until: until})
	}
	return all
}

func TestFakeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := firewalltest.NewFake()
		want := bans("192.0.2.1/32", "2001:db8::/64")
		if err := f.Apply(t.Context(), firewall.Change{Add: want}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		if got, _ := f.List(t.Context()); !firewall.Diff(want, got).Empty() {
			t.Errorf("a second before the end: %v, want %v", got, want)
		}
		time.Sleep(time.Second)
		if got, _ := f.List(t.Context()); len(got) != 0 {
			t.Errorf("at the end: %v, want none", got)
		}
	})
}

func TestFakeFailsByHalf(t *testing.T) {
	f, full := firewalltest.NewFake(), errors.New("no buffer space")
	f.Half = true
	f.Fail = func(v firewalltest.Verb) error {
		if v == firewalltest.Apply {
			return full
		}
		return nil
	}
	want := bans("192.0.2.1/32", "192.0.2.2/32")
	if err := f.Apply(t.Context(), firewall.Change{Add: want}); !errors.Is(err, full) {
		t.Errorf("Apply: %v, want %v", err, full)
	}
	got, err := f.List(t.Context())
	if c := firewall.Diff(want, got); err != nil || len(c.Add) != 1 || len(c.Del) != 0 {
		t.Errorf("after half an Apply: %v, %v", got, err)
	}
	f.Fail = nil
	if err := f.Apply(t.Context(), firewall.Diff(want, got)); err != nil {
		t.Error(err)
	}
	if got := f.Bans(); !firewall.Diff(want, got).Empty() {
		t.Errorf("after the repair: %v", got)
	}
}

func TestFakeTellsWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, calls := firewalltest.NewFake(), 0
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = f.Watch(ctx, func() { calls++ }) }()
		synctest.Wait()
		if err := f.Apply(ctx, firewall.Change{Add: bans("192.0.2.1/32")}); err != nil {
			t.Error(err)
		}
		f.Flush()
		synctest.Wait()
		if calls != 2 || len(f.Bans()) != 0 {
			t.Errorf("%d calls and %v after Flush; want 2 and none", calls, f.Bans())
		}
		cancel()
	})
}
