package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/internal/geoip"
)

// TestPlaces: a jail's places stand in place of the defaults', null undoes them, and what is printed reads back.
func TestPlaces(t *testing.T) {
	t.Parallel()
	c := mustParse(t, `geoip: [/a.mmdb, /b.mmdb]
points.country: {de: 0.5, other: 2}
points.asn: {AS64496: 3}
jails:
  sshd:
    points.country: {AT: 10}
    bantime.asn: {64497: 0.1}
    allow_only.country: DE, AT
    allow_only.asn: [AS64498]
    points.asn: null
  vsftpd: {enabled: true}
`)
	de, at := geoip.Country{'D', 'E'}, geoip.Country{'A', 'T'}
	want := map[string]Places{
		"sshd": {
			Points:    Factors{Country: map[geoip.Country]float64{at: 10}, ASN: map[uint32]float64{64496: 3}},
			BanTime:   Factors{Country: map[geoip.Country]float64{}, ASN: map[uint32]float64{64497: 0.1}},
			AllowOnly: Area{Country: []geoip.Country{de, at}, ASN: []uint32{64498}},
		},
		"vsftpd": {
			Points:    Factors{Country: map[geoip.Country]float64{de: 0.5, {}: 2}, ASN: map[uint32]float64{64496: 3}},
			BanTime:   Factors{Country: map[geoip.Country]float64{}, ASN: map[uint32]float64{}},
			AllowOnly: Area{Country: []geoip.Country{}, ASN: []uint32{}},
		},
	}
	for _, c := range []*Config{c, mustParse(t, c.YAML())} {
		got := map[string]Places{}
		for _, j := range c.Jails {
			got[j.Name] = j.Places
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]string{"/a.mmdb", "/b.mmdb"}, c.GeoIP); diff != "" {
			t.Error(diff)
		}
	}
	if rule := c.Jails[0].Rule(); !strings.HasSuffix(rule, "; weighed by country or network") {
		t.Errorf("the rule does not say it: %s", rule)
	}
	if got := want["vsftpd"]; got.Points.Least() != 0.5 || !got.Used() {
		t.Errorf("the least factor is %v", got.Points.Least())
	}
	if empty := new(Places); empty.Used() || empty.Points.Least() != 1 {
		t.Error("nothing matters, and yet it does")
	}
}
