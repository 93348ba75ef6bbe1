package lists

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"exile/firewall"
)

func at(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

// TestCut compares with sets of single addresses.
func TestCut(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	some := func() []firewall.Range {
		var all []firewall.Range
		for range r.IntN(12) {
			from := r.IntN(256)
			all = append(all, firewall.Range{From: at(from), To: at(from + r.IntN(256-from)/4)})
		}
		return merge(all)
	}
	in := func(ranges []firewall.Range, a netip.Addr) bool {
		return slices.ContainsFunc(ranges, func(r firewall.Range) bool { return !a.Less(r.From) && !r.To.Less(a) })
	}
	for range 2000 {
		ranges, others := some(), some()
		left, hit := cut(ranges, others)
		for n := range 256 {
			a := at(n)
			want := in(ranges, a) && !in(others, a)
			if in(left, a) != want || holds(left, a) != want {
				t.Fatalf("seed %d: %v without %v is %v: %v is in it = %t, holds = %t", seed, ranges, others, left, a, in(left, a), holds(left, a))
			}
		}
		hits := 0
		for _, one := range ranges {
			if rest, _ := cut([]firewall.Range{one}, others); !slices.Equal(rest, []firewall.Range{one}) {
				hits++
			}
		}
		if hit != hits {
			t.Fatalf("seed %d: %v without %v hit %d ranges, want %d", seed, ranges, others, hit, hits)
		}
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	last4, last6 := netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	all := merge([]firewall.Range{
		rangeOf(netip.MustParsePrefix("ff00::/16")),
		{From: last6, To: last6},
		rangeOf(netip.MustParsePrefix("255.0.0.0/8")),
		{From: last4, To: last4},
		rangeOf(netip.MustParsePrefix("::1/128")),
	})
	if len(all) != 4 || all[0].To != last4 || all[3].To != last6 || all[1].From != netip.MustParseAddr("::1") {
		t.Errorf("the ends of both families are %v", all)
	}
	left, hit := cut(all, []firewall.Range{{From: last4, To: last4}, {From: last6, To: last6}})
	if hit != 2 || len(left) != 3 || left[0].To != last4.Prev() {
		t.Errorf("without the ends: %v, %d hit", left, hit)
	}
	if got := size4(all); got != 1<<24 {
		t.Errorf("%d IPv4 addresses", got)
	}
}
