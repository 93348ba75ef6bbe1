package jail

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each line bans ("+") or lifts ("-") a prefix and says what takes the place of what: "WIDER of COUNT: MEMBERS".
func TestAggregator(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"three /64 of a /56": `
			+ 2001:db8:0:100::/64
			+ 2001:db8:0:1ff::/64
			+ 2001:db8:0:142::/64 = 2001:db8:0:100::/56 of 3: 2001:db8:0:100::/64 2001:db8:0:142::/64 2001:db8:0:1ff::/64`,
		"three /64 of three /56 of a /48": `
			+ 2001:db8::/64
			+ 2001:db8:0:100::/64
			+ 2001:db8:0:200::/64 = 2001:db8::/48 of 3: 2001:db8::/64 2001:db8:0:100::/64 2001:db8:0:200::/64`,
		"a banned /56 counts once in its /48, with all that it stands for": `
			+ 2001:db8::/64
			+ 2001:db8:0:1::/64
			+ 2001:db8:0:2::/64 = 2001:db8::/56 of 3: 2001:db8::/64 2001:db8:0:1::/64 2001:db8:0:2::/64
			+ 2001:db8:0:100::/64
			+ 2001:db8:0:200::/64 = 2001:db8::/48 of 5: 2001:db8::/56 2001:db8:0:100::/64 2001:db8:0:200::/64`,
		"three /48 of a /47 are nothing": `
			+ 2001:db8:0::/48
			+ 2001:db8:1::/48
			+ 2001:db8:2::/48`,
		"at once: what is lifted does not count": `
			+ 2001:db8::/64
			+ 2001:db8:0:1::/64
			- 2001:db8::/64
			+ 2001:db8:0:2::/64
			+ 2001:db8:0:3::/64 = 2001:db8::/56 of 3: 2001:db8:0:1::/64 2001:db8:0:2::/64 2001:db8:0:3::/64`,
		"the same one twice is one": `
			+ 2001:db8::/64
			+ 2001:db8::/64
			+ 2001:db8:0:1::/64
			- 2001:db8::/64
			+ 2001:db8:0:2::/64`,
		"addresses of one /64 are one": `
			+ 2001:db8::1/128
			+ 2001:db8::2/128
			+ 2001:db8::3/128
			+ 2001:db8:0:1::1/128
			+ 2001:db8:0:2::1/128 = 2001:db8::/56 of 5: 2001:db8::1/128 2001:db8::2/128 2001:db8::3/128 2001:db8:0:1::1/128 2001:db8:0:2::1/128`,
		"four addresses of a /24": `
			+ 192.0.2.1/32
			+ 192.0.2.2/32
			+ 192.0.3.1/32
			+ 192.0.2.128/25
			+ 192.0.2.3/32 = 192.0.2.0/24 of 4: 192.0.2.1/32 192.0.2.2/32 192.0.2.3/32 192.0.2.128/25
			+ 192.0.2.4/32`,
		"never over an allowed address": `
			+ 198.51.100.1/32
			+ 198.51.100.2/32
			+ 198.51.100.3/32
			+ 198.51.100.4/32
			+ 198.51.100.5/32`,
		"the /48 is allowed, its /56 is not": `
			+ 2001:db8:a:100::/64
			+ 2001:db8:a:200::/64
			+ 2001:db8:a:300::/64
			+ 2001:db8:a:101::/64
			+ 2001:db8:a:102::/64 = 2001:db8:a:100::/56 of 3: 2001:db8:a:100::/64 2001:db8:a:101::/64 2001:db8:a:102::/64`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			friends := []netip.Prefix{netip.MustParsePrefix("198.51.100.77/32"), netip.MustParsePrefix("2001:db8:a::/64")}
			g := NewAggregator(Aggregate{IPv4: 4, IPv6: 3}, nil, func(p netip.Prefix) bool {
				return p.Overlaps(friends[0]) || p.Overlaps(friends[1])
			})
			for line := range strings.Lines(strings.TrimSpace(script)) {
				order, want, _ := strings.Cut(strings.TrimSpace(line), " = ")
				p := netip.MustParsePrefix(order[2:])
				if order[0] == '-' {
					g.Remove(p)
					continue
				}
				if diff := cmp.Diff(want, widerText(g.Add(p))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", order, diff)
				}
			}
		})
	}
}

func widerText(w Wider, ok bool) string {
	if !ok {
		return ""
	}
	var members []string
	for _, m := range w.Members {
		members = append(members, m.String())
	}
	return w.Prefix.String() + " of " + strconv.Itoa(w.Count) + ": " + strings.Join(members, " ")
}

func TestAggregateOff(t *testing.T) {
	t.Parallel()
	g := NewAggregator(Aggregate{}, nil, func(netip.Prefix) bool { return false })
	for i := range 256 {
		if w, ok := g.Add(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)); ok {
			t.Fatalf("banned %v", w.Prefix)
		}
	}
}
