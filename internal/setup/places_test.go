package setup

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"exile/internal/config"
	"exile/internal/geoip"
	"exile/internal/geoip/geoiptest"
	"exile/jail"
)

var made = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

// sample is an atlas: Germany and Austria, of which half is AS64496, and a network in no country.
func sample(t testing.TB) *Atlas {
	dir := t.TempDir()
	country := geoiptest.Write(t, filepath.Join(dir, "country.mmdb"), geoiptest.Database{Built: made, Entries: []geoiptest.Entry{
		{Prefix: "192.0.2.0/24", Value: geoiptest.Country("DE")},
		{Prefix: "198.51.100.0/24", Value: geoiptest.Country("AT")},
		{Prefix: "2001:db8::/32", Value: geoiptest.Country("DE")},
		{Prefix: "10.0.0.0/8", Value: geoiptest.Country("AT")},
	}})
	asn := geoiptest.Write(t, filepath.Join(dir, "asn.mmdb"), geoiptest.Database{Built: made, Entries: []geoiptest.Entry{
		{Prefix: "192.0.2.128/25", Value: geoiptest.ASN(64496, "A")},
		{Prefix: "203.0.113.0/24", Value: geoiptest.ASN(64497, "B")},
	}})
	table := geoip.Load([]string{country, asn}, made)
	if table.Wrong() != nil {
		t.Fatal(table.Wrong())
	}
	a := new(Atlas)
	a.Use(table)
	return a
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	de, at := geoip.Country{'D', 'E'}, geoip.Country{'A', 'T'}
	places := config.Places{
		Points:    config.Factors{Country: map[geoip.Country]float64{de: 0.5, {}: 4}, ASN: map[uint32]float64{64496: 4, 64497: 0.1}},
		BanTime:   config.Factors{ASN: map[uint32]float64{64496: 3}},
		AllowOnly: config.Area{Country: []geoip.Country{de}, ASN: []uint32{64497}},
	}
	atlas := sample(t)
	w := atlas.Weigher(&config.Jail{Places: places})
	for addr, want := range map[string]jail.Weight{
		"192.0.2.1":       {Points: 0.5, BanTime: 1},
		"192.0.2.200":     {Points: 2, BanTime: 3},
		"2001:db8::1":     {Points: 0.5, BanTime: 1},
		"198.51.100.1":    {Points: 4, BanTime: 1},   // its network is unknown: it may be the one that is allowed
		"203.0.113.1":     {Points: 0.1, BanTime: 1}, // its country is unknown, its network is allowed
		"10.1.2.3":        jail.Plain,
		"233.252.0.1":     jail.Plain,
		"2001:db9::1":     jail.Plain,
		"fe80::1%eth0":    jail.Plain,
		"64:ff9b::a00:12": jail.Plain,
	} {
		if got := jail.Weigh(w, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %+v, want %+v", addr, got, want)
		}
	}
	if least := w.Least(); least != 0.1 {
		t.Errorf("the least factor is %v", least)
	}
	both := atlas.Weigher(&config.Jail{Places: config.Places{AllowOnly: config.Area{Country: []geoip.Country{at}, ASN: []uint32{64498}}}})
	if both.Weigh(netip.MustParseAddr("203.0.113.1")).First { // its country is unknown: it may be Austria
		t.Error("an address that may be inside is outside")
	}
	if !both.Weigh(netip.MustParseAddr("192.0.2.200")).First {
		t.Error("an address of another country and network is inside")
	}
	atlas.Use(nil)
	if got := w.Weigh(netip.MustParseAddr("192.0.2.1")); got != jail.Plain {
		t.Errorf("without a table: %+v", got)
	}
	if w := atlas.Weigher(&config.Jail{}); w != nil {
		t.Error("places matter to a jail that names none")
	}
}

func BenchmarkWeigh(b *testing.B) {
	w := sample(b).Weigher(&config.Jail{Places: config.Places{
		Points: config.Factors{Country: map[geoip.Country]float64{{'D', 'E'}: 2}, ASN: map[uint32]float64{64496: 2}},
	}})
	addr := netip.MustParseAddr("192.0.2.200")
	b.ReportAllocs()
	for b.Loop() {
		if w.Weigh(addr).Points != 4 {
			b.Fatal("wrong")
		}
	}
}
