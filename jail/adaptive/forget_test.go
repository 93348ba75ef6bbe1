package adaptive

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"exile/jail"
	"exile/jail/internal/netkey"
)

// forgetful is a detector of the tests that can be asked whom it counts.
type forgetful interface {
	jail.Detector
	jail.Lister
}

func forgetfuls() map[string]func() forgetful {
	return map[string]func() forgetful{
		"adaptive": func() forgetful {
			cfg := Default()
			cfg.NameHosts, cfg.Strangers = 0, translating()
			return New(cfg)
		},
		"threshold": func() forgetful {
			return jail.NewThreshold(jail.Config{
				MaxRetry: 5, FindTime: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 30_000, Strangers: translating(),
			}).(forgetful)
		},
		"threshold of /48 and /20": func() forgetful {
			return jail.NewThreshold(jail.Config{MaxRetry: 5, FindTime: time.Hour, IPv4Prefix: 20, IPv6Prefix: 48, MaxTracked: 10_000}).(forgetful)
		},
	}
}

// Whatever is pardoned, exactly those are forgotten who overlap it.
func TestForgetIsExact(t *testing.T) {
	t.Parallel()
	pardoned := []string{
		"192.0.2.7/32", "192.0.2.0/24", "192.0.0.0/16", "192.0.2.128/25", "192.0.2.8/29", "0.0.0.0/1",
		"2001:db8:0:1::/64", "2001:db8:0:1::5/128", "2001:db8::/56", "2001:db8::/48", "2001:db8::/60", "2001:db8::/32", "::/1",
		"0:ffff:c000:207::/64", "198.51.100.1/32", "2001:db8:ffff::/48",
		"64:ff9b::/96", "64:ff9b::7/128", "64:ff9b::/124", "2001:db8:64::/56", "2001:db8:64::/64", "2001:db8:64::7/128",
		"2001:db8:64:0:1::/80", "169.254.7.0/24",
	}
	for name, fresh := range forgetfuls() {
		for _, text := range pardoned {
			t.Run(name+" "+text, func(t *testing.T) {
				t.Parallel()
				d, p := fresh(), netip.MustParsePrefix(text)
				observeMany(d)
				var want []netip.Prefix
				for _, h := range hostsOf(d) {
					if !h.Prefix.Overlaps(p) {
						want = append(want, h.Prefix)
					}
				}
				d.Forget(p)
				var got []netip.Prefix
				for _, h := range hostsOf(d) {
					got = append(got, h.Prefix)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%d hosts are left, want %d", len(got), len(want))
				}
			})
		}
	}
}

// observeMany shows a detector a guess from each of some thousand neighbours.
func observeMany(d jail.Detector) {
	random := rand.New(rand.NewPCG(1, 2))
	at := time.Unix(1_800_000_000, 0)
	for range 3000 {
		n := random.Uint32()
		v4 := netip.AddrFrom4([4]byte{192, 0, byte(n>>8) & 7, byte(n)})
		b := netip.MustParseAddr("2001:db8::1").As16()
		b[5], b[6], b[7], b[15] = byte(n)&1, byte(n>>16)&1, byte(n>>8)&31, byte(n>>24)
		strange, local, beside := netip.MustParseAddr("64:ff9b::1").As16(), netip.MustParseAddr("2001:db8:64::1").As16(), b
		strange[15], local[15], beside[5] = byte(n)|1, byte(n)|1, 0x64 // no host has the address 0
		link := netip.AddrFrom4([4]byte{169, 254, byte(n>>8) & 7, byte(n)})
		for _, a := range []netip.Addr{
			v4, link, netip.AddrFrom16(b), netip.AddrFrom16(strange), netip.AddrFrom16(local), netip.AddrFrom16(beside),
		} {
			d.Observe(jail.Attempt{Time: at, Addr: a, User: "root", Guesses: 1}, nil)
		}
	}
}

// The pardon of an address, of a /24 or of a /56 looks at nobody else, however many are remembered: a flush is a million
// pardons.
func TestForgetLooksAtNobodyElse(t *testing.T) {
	t.Parallel()
	d := forgetfuls()["adaptive"]().(*Detector)
	observeMany(d)
	for i := range 1000 {
		d.hosts.Touch(netkey.Of(d.host(manyAddr(i))), 1)
		d.wides.Touch(wideID(i), 1)
		d.wides.banned.Touch(wideID(i), 1)
	}
	d.scores.Trap()
	d.hosts.Trap()
	d.wides.offences.Trap()
	d.wides.banned.Trap()
	for _, text := range []string{"203.0.113.7/32", "203.0.113.0/24", "2001:db8:ffff:1::/64", "2001:db8:ffff:1::1/128", "2001:db8:ffff::/56"} {
		d.Forget(netip.MustParsePrefix(text))
	}
}
