package replay

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestBench: what stands and what is remembered is what maps say, whether records are used again or not.
func TestBench(t *testing.T) {
	t.Parallel()
	for _, few := range []bool{false, true} {
		b := newBench()
		b.few = few
		random := rand.New(rand.NewPCG(1, 2))
		standing, remembered := make(map[key]int64), make(map[key]past)
		for now := range int64(60_000) {
			p, _ := netip.AddrFrom4([4]byte{192, 0, byte(random.IntN(8)), byte(random.IntN(256))}).Prefix(random.IntN(9) + 24)
			k := keyOf(uint16(random.IntN(2)), p)
			switch _, stands := standing[k]; {
			case random.IntN(4) > 0:
				until := now + 1 + random.Int64N(2000)
				if random.IntN(2) == 0 {
					remembered[k] = past{now, int32(random.IntN(100))}
					b.remember(k, remembered[k], false)
				}
				b.put(record{key: k, at: now, until: until, offence: uint16(remembered[k].offences)})
				standing[k] = until
			case stands:
				b.lift(k)
				delete(standing, k)
			case random.IntN(4) == 0:
				remembered[k] = past{now, int32(random.IntN(100))}
				b.remember(k, remembered[k], true)
			}
			for k, over := b.expired(now); over; k, over = b.expired(now) {
				if standing[k] > now {
					t.Fatalf("few %t, %d: %v is over, and should end at %d", few, now, k, standing[k])
				}
				delete(standing, k)
			}
			r := b.get(k)
			if until, stands := standing[k]; stands != (r != nil) || stands && until != r.until {
				t.Fatalf("few %t, %d: %v stands until %d, want %d", few, now, k, r.until, until)
			}
			if got, ok := b.pastOf(k); ok != (remembered[k] != past{}) || ok && got != remembered[k] {
				t.Fatalf("few %t, %d: of %v is remembered %v, want %v", few, now, k, got, remembered[k])
			}
		}
		if few && (b.index.used != len(standing) || b.len() > 4096) {
			t.Errorf("%d of %d bans stand, in %d records", b.index.used, len(standing), b.len())
		}
		for k := range standing {
			if b.get(k) == nil {
				t.Errorf("few %t: %v does not stand", few, k)
			}
		}
	}
}
