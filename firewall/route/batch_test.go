package route

import (
	"net/netip"
	"slices"
	"testing"

	"exile/firewall"
)

// What is spread is what it was: every ban once, of IPv4 no two neighbours in a row, of IPv6 in the order they had.
func TestSpread(t *testing.T) {
	t.Parallel()
	for n := range 70 {
		var bans []firewall.Ban
		for i := range n {
			bans = append(bans,
				firewall.Ban{Key: firewall.Key{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)}},
				firewall.Ban{Key: firewall.Key{Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}), 128)}})
		}
		got := spread(bans)
		for i := range max(n-1, 0) {
			if a, b := got[i].Prefix.Addr().As4(), got[i+1].Prefix.Addr().As4(); n > 8 && max(a[3], b[3])-min(a[3], b[3]) == 1 {
				t.Errorf("%d: %v and %v in a row", n, got[i].Prefix, got[i+1].Prefix)
			}
		}
		if v6 := got[n:]; !slices.IsSortedFunc(v6, func(a, b firewall.Ban) int { return a.Prefix.Compare(b.Prefix) }) {
			t.Errorf("%d: IPv6 out of order: %v", n, v6)
		}
		byPrefix := func(a, b firewall.Ban) int { return a.Prefix.Compare(b.Prefix) }
		slices.SortFunc(bans, byPrefix)
		slices.SortFunc(got, byPrefix)
		if !slices.Equal(got, bans) {
			t.Errorf("%d: %v became %v", n, bans, got)
		}
	}
}
