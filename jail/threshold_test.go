package jail

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestThresholdAgainstList compares the detector with the definition: a ban when the last MaxRetry attempts of a prefix
// lie within FindTime.
func TestThresholdAgainstList(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	cfg := Config{MaxRetry: 4, FindTime: 100 * time.Second, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000}
	detector := newThreshold(cfg)
	attempts := map[netip.Addr][]time.Time{}
	now, bans := time.Unix(1_700_000_000, 0), 0
	for step := range 50_000 {
		now = now.Add(time.Duration(random.IntN(3_000_000)) * time.Microsecond)
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(40))})
		times := append(attempts[addr], now)
		want := len(times) >= 4 && times[len(times)-1].Sub(times[len(times)-4]) <= cfg.FindTime
		if want {
			times = nil
			bans++
		}
		attempts[addr] = times
		got := detector.Observe(Attempt{Time: now, Addr: addr, Guesses: 1, Rule: "failed"}, nil)
		if (len(got) == 1) != want {
			t.Fatalf("step %d: %d verdicts, want a ban: %v", step, len(got), want)
		}
	}
	if bans < 100 {
		t.Errorf("only %d bans: the test tells nothing", bans)
	}
}

// TestBytesPerPrefix: a prefix costs at most 128 bytes at maxretry 5, all included.
func TestBytesPerPrefix(t *testing.T) {
	cfg := Config{MaxRetry: 5, FindTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1_000_000}
	for _, n := range []uint32{100_000, 393_000, 394_000, 1_000_000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		detector := newThreshold(cfg)
		fillThreshold(detector, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		got := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
		if got > bytesPerHost {
			t.Errorf("%d prefixes: %.1f bytes each, want at most %d", n, got, bytesPerHost)
		}
		t.Logf("%d prefixes: %.1f bytes each", n, got)
		runtime.KeepAlive(detector)
	}
}

func fillThreshold(detector *threshold, n uint32) {
	at := time.Unix(1_700_000_000, 0)
	var out []Verdict
	for i := range n {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], i+1<<24)
		out = detector.Observe(Attempt{Time: at, Addr: netip.AddrFrom4(a), Guesses: 1, Rule: "failed"}, out[:0])
	}
}

// TestMaxTracked: at the cap the oldest go, and many marks a prefix make the cap lower.
func TestMaxTracked(t *testing.T) {
	t.Parallel()
	cfg := Config{MaxRetry: 5, FindTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000}
	detector := newThreshold(cfg)
	fillThreshold(detector, 1500)
	if detector.Failing() != 1000 || detector.Evicted() != 500 {
		t.Errorf("%d prefixes, %d evicted, want 1000 and 500", detector.Failing(), detector.Evicted())
	}
	if first := firstHosts(slices.Collect(detector.Hosts), 1)[0].Prefix.Addr(); first != netip.AddrFrom4([4]byte{1, 0, 1, 0xf4}) {
		t.Errorf("the oldest that is left is %v, want 1.0.1.244", first)
	}
	cfg.MaxRetry = 1000
	detector = newThreshold(cfg)
	fillThreshold(detector, 1500)
	if n := detector.Failing(); n < 1 || n > 8 {
		t.Errorf("%d prefixes of 1000 marks, want as many as 128,000 bytes hold", n)
	}
}

// TestClockSteps: neither a step back nor one forward makes the window blind or bans out of nothing.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	cfg := Config{MaxRetry: 3, FindTime: 10 * time.Minute, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 10}
	start := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name  string
		steps []time.Duration
		ban   bool
	}{
		{"small step back", []time.Duration{0, 60 * time.Second, 59 * time.Second}, true},
		{"an hour back", []time.Duration{time.Hour, time.Hour + time.Second, 0}, false},
		{"guesses after an hour back", []time.Duration{time.Hour, 0, 1, 2}, true},
		{"a day forward", []time.Duration{0, 1, 24 * time.Hour}, false},
	} {
		detector := newThreshold(cfg)
		var got []Verdict
		for _, d := range c.steps {
			got = detector.Observe(Attempt{Time: start.Add(d), Addr: netip.MustParseAddr("192.0.2.1"), Guesses: 1}, nil)
		}
		if ban := len(got) == 1; ban != c.ban {
			t.Errorf("%s: ban %v, want %v", c.name, ban, c.ban)
		}
	}
}
