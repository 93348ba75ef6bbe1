package jail

import (
	"net/netip"
	"testing"
	"time"
)

// weights weighs addresses by their last byte.
type weights map[byte]Weight

func (w weights) Weigh(a netip.Addr) Weight {
	if one, ok := w[a.AsSlice()[a.BitLen()/8-1]]; ok {
		return one
	}
	return Plain
}

func (w weights) Least() float64 {
	least := 1.0
	for _, one := range w {
		least = min(least, one.Points)
	}
	return least
}

// TestWeightedThreshold: the number of failures that ban is divided by the weight and rounded up, and stays what was counted.
func TestWeightedThreshold(t *testing.T) {
	t.Parallel()
	all := weights{1: {Points: 2, BanTime: 1}, 2: {Points: 0.5, BanTime: 1}, 3: {Points: 0.1, BanTime: 1}, 4: {Points: 10, BanTime: 1}, 5: {Points: 1, BanTime: 1, First: true}}
	cfg := Config{MaxRetry: 5, FindTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000, Weigher: all}
	d := newThreshold(cfg)
	for last, want := range map[byte]int{1: 3, 2: 10, 3: 50, 4: 1, 5: 1, 6: 5} {
		addr, n := netip.AddrFrom4([4]byte{192, 0, 2, last}), 0
		for ; n < 100; n++ {
			if v := d.Observe(Attempt{Time: time.Unix(1_700_000_000+int64(n), 0), Addr: addr, Guesses: 1}, nil); len(v) > 0 {
				if n++; v[0].Failures != n || v[0].Reason.Count != n || v[0].Reason.Weighed != (n != 5) {
					t.Errorf("%v: %d failures and %+v after %d", addr, v[0].Failures, v[0].Reason, n)
				}
				break
			}
		}
		if n != want {
			t.Errorf("%v is banned after %d failures, want %d", addr, n, want)
		}
	}
}

// TestWeightedNeighbours: addresses of one /64 may weigh differently. Whichever comes, there is room for it.
func TestWeightedNeighbours(t *testing.T) {
	t.Parallel()
	cfg := Config{MaxRetry: 5, FindTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000, Weigher: weights{1: {Points: 0.1}, 2: {Points: 2}}}
	d := newThreshold(cfg)
	at := time.Unix(1_700_000_000, 0)
	for range 49 {
		if v := d.Observe(Attempt{Time: at, Addr: netip.MustParseAddr("2001:db8::1"), Guesses: 1}, nil); len(v) > 0 {
			t.Fatal("banned early")
		}
	}
	if v := d.Observe(Attempt{Time: at, Addr: netip.MustParseAddr("2001:db8::2"), Guesses: 7}, nil); len(v) != 1 || v[0].Failures != 50 {
		t.Errorf("%+v, want one ban", v)
	}
}

// TestWeightsSpareFriends: who is logged in, or logged in with a key, may guess as often as without databases.
func TestWeightsSpareFriends(t *testing.T) {
	t.Parallel()
	cfg := Config{MaxRetry: 5, FindTime: time.Hour, Weigher: weights{1: {First: true}}}
	if c := cfg.counting(Window{5, time.Hour}); c.Weigher != nil {
		t.Error("those who may guess more are weighed")
	}
}

func TestStretch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		factor float64
		of     time.Duration
		want   time.Duration
	}{
		{1, 90 * time.Millisecond, 90 * time.Millisecond},
		{2, time.Hour, 2 * time.Hour},
		{0.5, time.Hour, 30 * time.Minute},
		{0.1, time.Second, time.Second},
		{10, Permanent, Permanent},
		{10, longest, longest},
	} {
		if got := (Weight{BanTime: c.factor}).Stretch(c.of); got != c.want {
			t.Errorf("%v times %v is %v, want %v", c.factor, c.of, got, c.want)
		}
	}
}
