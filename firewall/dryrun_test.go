package firewall_test

import (
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
)

func TestDryRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := firewall.NewDryRun()
		short, forever := ban("192.0.2.1/32", time.Now().Add(time.Minute)), ban("2001:db8::/64", time.Time{})
		holds := func(want ...firewall.Ban) {
			t.Helper()
			have, err := d.List(t.Context())
			if c := firewall.Diff(want, have); err != nil || !c.Empty() {
				t.Errorf("holds %v, %v; want %v", have, err, want)
			}
		}
		if err := d.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{short, forever}}); err != nil {
			t.Fatal(err)
		}
		holds(short, forever)
		time.Sleep(time.Minute)
		holds(forever)
		if err := d.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{{}}}); err == nil {
			t.Error("a ban without prefix: no error")
		}
		if err := d.Apply(t.Context(), firewall.Change{Del: []firewall.Key{forever.Key}}); err != nil {
			t.Fatal(err)
		}
		holds()
	})
}
