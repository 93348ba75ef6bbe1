package jail

import (
	"net/netip"
	"testing"
	"time"
)

// translating knows a prefix of the host's own translator, as DNS64 shows it.
func translating() *Strangers {
	s := new(Strangers)
	s.SetNAT64([]netip.Prefix{netip.MustParsePrefix("2001:db8:64::/96"), netip.MustParsePrefix("192.0.2.0/24")})
	return s
}

func TestUnit(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string][2]string{ // by the standards, and with a translator of one's own
		"192.0.2.1":              {"192.0.2.0/24"},
		"::ffff:192.0.2.1":       {"192.0.2.0/24"},
		"169.254.7.8":            {"169.254.7.8/32"},
		"2001:db8::1":            {"2001:db8::/64"},
		"2001:db8:64::192.0.2.1": {"2001:db8:64::/64", "2001:db8:64::c000:201/128"},
		"2001:db8:64:0:1::1":     {"2001:db8:64::/64"},
		"64:ff9b::192.0.2.1":     {"64:ff9b::c000:201/128"},
		"64:ff9b:0:0:1::1":       {"64:ff9b::/64"},
		"64:ff9b:1:2::192.0.2.1": {"64:ff9b:1:2::c000:201/128"},
		"64:ff9b:2::1":           {"64:ff9b:2::/64"},
		"::ffff:0:192.0.2.1":     {"::ffff:0:c000:201/128"},
		"2001:0:4137:9e76::1":    {"2001:0:4137:9e76::1/128"},
		"2001:1::1":              {"2001:1::/64"},
		"2001:20::1":             {"2001:20::1/128"},
		"2001:30::1":             {"2001:30::/64"},
		"fe80::1%eth0":           {"fe80::1/128"},
		"febf::1":                {"febf::1/128"},
		"fec0::1":                {"fec0::/64"},
		"2002:c000:201::1":       {"2002:c000:201::/64"}, // 6to4: a /48 is one IPv4 address
	} {
		if want[1] == "" {
			want[1] = want[0]
		}
		a := netip.MustParseAddr(addr)
		for i, s := range []*Strangers{nil, translating()} {
			if got := s.Unit(a, 24, 64); got != netip.MustParsePrefix(want[i]) {
				t.Errorf("%s: the unit is %v, want %v", addr, got, want[i])
			}
		}
	}
	if p := (*Strangers)(nil).Unit(netip.Addr{}, 32, 64); p.IsValid() {
		t.Errorf("no address has the unit %v", p)
	}
}

func TestStrangersAreTouched(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]string{
		"64:ff9b::/64":          viaNAT64,
		"64:ff9b::c000:201/128": "",
		"64:ff9b::/32":          viaNAT64,
		"2001::/24":             "all of Teredo",
		"2001:db8::/56":         "",
		"2001:db8:64::/56":      viaNAT64,
		"fe80::/64":             onTheLink,
		"169.254.1.0/24":        onTheLink,
		"192.0.2.0/24":          "",
	} {
		if who, _ := translating().Touches(netip.MustParsePrefix(p)); who != want {
			t.Errorf("a ban of %s hits %q, want %q", p, who, want)
		}
	}
}

// strangeRanges are an address for each of 200 hosts in each range of strangers.
func strangeRanges() map[string]func(host byte) netip.Addr {
	ranges := make(map[string]func(byte) netip.Addr)
	for _, base := range []string{
		"64:ff9b::192.0.2.0", "64:ff9b:1:fffe::192.0.2.0", "2001:db8:64::192.0.2.0", "::ffff:0:192.0.2.0",
		"2001:0:4137:9e76:0:1234:3fff:fd00", "2001:20::1:0", "fe80::a00:27ff:fe00:0", "fe80:0:0:1::",
	} {
		ranges[base] = func(host byte) netip.Addr {
			b := netip.MustParseAddr(base).As16()
			b[15] = host
			return netip.AddrFrom16(b)
		}
	}
	ranges["169.254.1.0"] = func(host byte) netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 1, host}) }
	return ranges
}

func TestStrangersOffencesAreTheirOwn(t *testing.T) {
	t.Parallel()
	for name, host := range strangeRanges() {
		r := NewRecidivists(Recidive{Enabled: true, MaxRetry: 3, FindTime: 24 * time.Hour, BanTime: 24 * time.Hour}, translating())
		g := NewAggregator(Aggregate{IPv4: 3, IPv6: 3}, translating(), func(netip.Prefix) bool { return false })
		for i := range byte(20) {
			p := netip.PrefixFrom(host(i), host(i).BitLen())
			if _, ok := r.Observe(p, noon); ok {
				t.Errorf("%s: the bans of others make %v a recidivist", name, p)
			}
			if w, ok := g.Add(p); ok {
				t.Errorf("%s: a ban of %v becomes one of %v", name, p, w.Prefix)
			}
		}
	}
}
