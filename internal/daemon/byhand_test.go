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

// TestNothingToRead: a host without a log bans by hand, and removes unknown bans from the kernel.
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

// TestBansByHandStay: a ban by hand stays when the last jail is disabled, and when one is enabled again. Bans that a jail made go with the
// jail, and so do all bans of a jail that another one replaces.
func TestBansByHandStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.2/32"), Permanent: true}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"manual", "sshd"} {
			w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail(name, nil)} }
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			w.expectBanned(name, "192.0.2.2/32")
			bans, _, err := d.Bans(t.Context(), control.Page{})
			if err != nil || len(bans) != 1 || bans[0].Jail != name || !bans[0].Until.IsZero() || bans[0].Origin != control.OriginManual {
				t.Errorf("bans %+v, %v", bans, err)
			}
		}
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("other", nil)} }
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.expectBanned("another jail")
	})
}
