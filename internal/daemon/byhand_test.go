package daemon_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/daemon"
)

// TestNothingToRead: a host without a log to read bans by hand, and clears the kernel of what nobody wants.
func TestNothingToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		left := firewall.Change{Add: []firewall.Ban{{Key: firewall.Key{Prefix: netip.MustParsePrefix("203.0.113.1/32")}}}}
		if err := w.kernel.Apply(t.Context(), left); err != nil {
			t.Fatal(err)
		}
		w.change = func(p *daemon.Plan) { p.Sources = nil }
		d := w.start()
		defer w.end(d)
		if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.1/32")}); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("by hand", "192.0.2.1/32")
		if s, err := d.Status(t.Context()); err != nil || s.State != "running" {
			t.Errorf("status %+v, %v", s, err)
		}
		if _, err := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32")); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("lifted")
	})
}

// TestBansByHandOutliveTheirJail: whoever bans by hand lifts the ban; it goes on in the first jail when its own is gone.
func TestBansByHandOutliveTheirJail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.2/32"), Permanent: true}); err != nil {
			t.Fatal(err)
		}
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("manual", nil)} }
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.expectBanned("the jail is gone", "192.0.2.2/32")
		bans, _, err := d.Bans(t.Context(), control.Page{})
		if err != nil || len(bans) != 1 || bans[0].Jail != "manual" || !bans[0].Until.IsZero() || bans[0].Origin != control.OriginManual {
			t.Errorf("bans %+v, %v", bans, err)
		}
	})
}
