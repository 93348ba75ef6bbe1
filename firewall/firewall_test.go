package firewall_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/firewall"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ban(prefix string, until time.Time) firewall.Ban {
	return firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix(prefix)}, Until: until}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	limited := ban("192.0.2.1/32", now)
	limited.Port = firewall.Port{Proto: 6, Number: 22}
	whole, forever := ban("192.0.2.1/32", now), ban("192.0.2.1/32", time.Time{})
	rounded, longer := ban("192.0.2.1/32", now.Add(2*time.Second)), ban("192.0.2.1/32", now.Add(time.Hour))
	for _, c := range []struct {
		name       string
		want, have []firewall.Ban
		change     firewall.Change
	}{
		{name: "nothing"},
		{"new", []firewall.Ban{limited}, nil, firewall.Change{Add: []firewall.Ban{limited}}},
		{"gone", nil, []firewall.Ban{limited}, firewall.Change{Del: []firewall.Key{limited.Key}}},
		{"right", []firewall.Ban{limited, forever}, []firewall.Ban{forever, limited}, firewall.Change{}},
		{"rounded", []firewall.Ban{whole}, []firewall.Ban{rounded}, firewall.Change{}},
		{"longer", []firewall.Ban{longer}, []firewall.Ban{whole}, firewall.Change{Add: []firewall.Ban{longer}}},
		{"forever", []firewall.Ban{forever}, []firewall.Ban{whole}, firewall.Change{Add: []firewall.Ban{forever}}},
		{"no longer forever", []firewall.Ban{whole}, []firewall.Ban{forever}, firewall.Change{Add: []firewall.Ban{whole}}},
		{
			"port is another key",
			[]firewall.Ban{limited},
			[]firewall.Ban{whole},
			firewall.Change{Add: []firewall.Ban{limited}, Del: []firewall.Key{whole.Key}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opts := cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
			if diff := cmp.Diff(c.change, firewall.Diff(c.want, c.have), opts); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}
