package daemon_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
	"exile/jail"
)

// Three banned /64 of one /56 make it a ban of the /56, which outlives its members and a restart, and is lifted by the
// address that somebody asks about.
func TestManyBansBecomeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Aggregator = jail.NewAggregator(jail.Aggregate{IPv6: 3}, func(netip.Prefix) bool { return false })
			return []*daemon.Jail{j}
		}
		d := w.start()
		for i := range 3 {
			w.attack(fmt.Sprintf("2001:db8:0:%d::1", i), 3)
		}
		w.expect("third /64",
			"ban 2001:db8::/64 offence 1", "ban 2001:db8:0:1::/64 offence 1", "ban 2001:db8:0:2::/64 offence 1",
			"ban 2001:db8::/56 offence 1", "unban 2001:db8::/64 covered", "unban 2001:db8:0:1::/64 covered",
			"unban 2001:db8:0:2::/64 covered")
		w.expectBanned("third /64", "2001:db8::/56")
		w.attack("2001:db8:0:7::1", 3)
		w.expect("another /64 of the /56, whose lines were under way")
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.expectBanned("restarted", "2001:db8::/56")
		if n, err := d.Unban(t.Context(), "", netip.MustParsePrefix("2001:db8:0:2::1/128")); n != 1 || err != nil {
			t.Errorf("Unban: %d, %v; want 1, nil", n, err)
		}
		w.expectBanned("lifted")
	})
}

// Who is banned twice in a day is banned for a week, from everywhere.
func TestRecidivist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		recidive := w.jail("recidive", nil)
		rule := jail.NewRecidivists(jail.Recidive{Enabled: true, MaxRetry: 2, FindTime: 24 * time.Hour, BanTime: 7 * 24 * time.Hour})
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil), recidive} }
		w.change = func(p *daemon.Plan) {
			p.Sources[0].Jails = p.Jails[:1]
			p.Recidive, p.Recidivists = recidive, rule
		}
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		time.Sleep(time.Hour)
		w.attack("192.0.2.1", 3)
		w.expect("second ban of the day", "ban 192.0.2.1/32 offence 1", "unban 192.0.2.1/32 expired",
			"ban 192.0.2.1/32 offence 2", "ban 192.0.2.1/32 offence 1")
		time.Sleep(6 * 24 * time.Hour)
		w.expectBanned("six days later", "192.0.2.1/32")
		time.Sleep(24 * time.Hour)
		w.expectBanned("a week later")
	})
}
