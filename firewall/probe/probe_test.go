package probe_test

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/firewall/ipset"
	"exile/firewall/nftables"
	"exile/firewall/probe"
	"exile/firewall/route"
)

// TestLab: the lab shows of each backend that a ban drops what comes from its address to each port that it closes and nothing else, for the host and
// for what the host forwards. Without the ban all is answered, and when the lab ends nothing of it is left.
func TestLab(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(ns int) (firewall.Backend, error){
		"nftables": func(ns int) (firewall.Backend, error) { return nftables.New(nftables.Config{NetNS: ns}) },
		"ipset":    func(ns int) (firewall.Backend, error) { return ipset.New(ipset.Config{NetNS: ns}) },
		"route":    func(ns int) (firewall.Backend, error) { return route.New(route.Config{NetNS: ns}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := firewalltest.New(t)
			host.Do(t, func() error {
				for _, f := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
					if err := os.WriteFile("/proc/sys/net/"+f, []byte("1"), 0); err != nil {
						return err
					}
				}
				return nil
			})
			before := host.Exec(t, "ip", "-o", "link")
			lab, err := probe.New(host.FD)
			if err != nil {
				t.Fatal(err)
			}
			b, err := open(host.FD)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			if lab.WithoutIPv6() != nil || !lab.Forwards(false) || !lab.Forwards(true) {
				t.Fatalf("no IPv6 (%v), or nothing is forwarded", lab.WithoutIPv6())
			}
			closed, other := firewall.Port{Proto: 6, Number: 22}, firewall.Port{Proto: 6, Number: 23}
			udp := firewall.Port{Proto: 17, Number: 53}
			for _, place := range []probe.Place{probe.IPv4(), probe.IPv6()} {
				ask := func(what string, from, to netip.Addr, p firewall.Port, want bool) {
					t.Helper()
					if got, err := lab.Answers(t.Context(), from, to, p); err != nil || got != want {
						t.Errorf("%s: %v asks %v for %v: answered %t, %v", what, from, to, p, got, err)
					}
				}
				for _, to := range []netip.Addr{place.Host, place.Guest} {
					for _, p := range []firewall.Port{closed, other, udp} {
						ask("before the ban", place.Offender, to, p, true)
					}
				}
				change := firewall.Change{}
				for _, p := range []firewall.Port{closed, udp} {
					if name == "route" {
						p = firewall.Port{}
					}
					one := netip.PrefixFrom(place.Offender, place.Offender.BitLen())
					change.Add = append(change.Add, firewall.Ban{Key: firewall.Key{Prefix: one, Port: p}, Until: time.Now().Add(time.Minute)})
				}
				if err := b.Apply(t.Context(), change); err != nil {
					t.Fatal(err)
				}
				for _, to := range []netip.Addr{place.Host, place.Guest} {
					ask("banned", place.Offender, to, closed, false)
					ask("banned", place.Offender, to, udp, false)
					ask("another port", place.Offender, to, other, name != "route")
					ask("a neighbour", place.Neighbour, to, closed, true)
				}
			}
			if err := lab.Close(); err != nil {
				t.Error(err)
			}
			if after := host.Exec(t, "ip", "-o", "link"); after != before {
				t.Errorf("links before:\n%safter:\n%s", before, after)
			}
		})
	}
}
