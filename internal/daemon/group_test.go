package daemon_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
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
		w.grouped(3)
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

// recidive makes plans with the rule that an address that is banned that often in a day is banned for a week, from everywhere.
func (w *world) recidive(bans int) {
	w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil), w.jail("recidive", nil)} }
	w.change = func(p *daemon.Plan) {
		p.Sources[0].Jails = p.Jails[:1]
		p.Recidive = p.Jails[1]
		p.Recidivists = jail.NewRecidivists(jail.Recidive{
			Enabled: true, MaxRetry: bans, FindTime: 24 * time.Hour, BanTime: 7 * 24 * time.Hour,
		}, nil)
	}
}

// grouped makes plans whose jail bans a /56 in place of so many /64 of it.
func (w *world) grouped(bans int) {
	w.jails = func() []*daemon.Jail {
		j := w.jail("sshd", nil)
		j.Aggregator = jail.NewAggregator(jail.Aggregate{IPv6: bans}, nil, func(netip.Prefix) bool { return false })
		return []*daemon.Jail{j}
	}
}

// The bans of a day are counted across a restart and a reload. Counting starts over after a ban for a week, and after a forget by hand.
func TestRecidivistIsRemembered(t *testing.T) {
	for name, interrupt := range map[string]func(w *world) *running{
		"restart": func(w *world) *running { w.end(w.d); return w.start() },
		"reload": func(w *world) *running {
			if err := w.d.Reload(w.t.Context()); err != nil {
				w.t.Error(err)
			}
			return w.d
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.recidive(3)
				d := w.start()
				for i := range 7 { // 3 bans, the week, and 3 bans more
					w.attack("192.0.2.1", 3)
					d = interrupt(w)
					w.hand()
					if _, err := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32")); err != nil {
						t.Fatal(err)
					}
					again := slices.Contains(w.told, "unban 192.0.2.1/32 unban") && strings.Count(strings.Join(w.told, "\n"), "offence") == 2
					if want := i == 2 || i == 5; again != want {
						t.Errorf("ban %d: told %q; want the ban for a week: %t", i+1, w.told, want)
					}
					w.told = nil
				}
				if known, err := d.ForgetAddress(t.Context(), "recidive", netip.MustParsePrefix("192.0.2.0/24")); !known || err != nil {
					t.Errorf("ForgetAddress: %t, %v", known, err)
				}
				d = interrupt(w)
				defer w.end(d)
				w.told = nil
				w.attack("192.0.2.1", 3)
				if len(w.told) != 1 {
					t.Errorf("after it was forgotten: told %q, want one ban", w.told)
				}
			})
		})
	}
}

// An address that is banned twice in a day is banned for a week, from everywhere.
func TestRecidivist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.recidive(2)
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

// neighbours is a detector that bans the /24 of whoever fails, for an hour.
type neighbours struct{}

func (neighbours) Observe(a jail.Attempt, out []jail.Verdict) []jail.Verdict {
	p, _ := a.Addr.Prefix(24) // valid
	return append(out, jail.Verdict{Prefix: p, Duration: time.Hour, Offence: 1})
}

func (neighbours) Forget(netip.Prefix) {}
func (neighbours) ForgetAll()          {}

// Bans of a network are no offences: neither its first address nor the network is banned for a week.
func TestNetworkIsNoRecidivist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.recidive(2)
		jails := w.jails
		w.jails = func() []*daemon.Jail {
			list := jails()
			list[0].Jail.Jail = w.detection("sshd", nil, 3, neighbours{})
			return list
		}
		d := w.start()
		defer w.end(d)
		for range 3 {
			w.attack("192.0.2.7", 1)
			time.Sleep(2 * time.Hour)
		}
		banned, lifted := "ban 192.0.2.0/24 offence 1", "unban 192.0.2.0/24 expired"
		w.expect("three bans of a /24", banned, lifted, banned, lifted, banned, lifted)
	})
}

// A ban for a week, from everywhere, spares addresses that any jail protects, and ends when the address becomes protected.
func TestRecidivistWhoIsProtected(t *testing.T) {
	friend := allowList{netip.MustParsePrefix("192.0.2.1/32")}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.recidive(2)
		w.jails = func() []*daemon.Jail {
			return []*daemon.Jail{w.jail("sshd", nil), w.jail("recidive", nil), w.jail("web", friend)}
		}
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		time.Sleep(time.Hour)
		w.attack("192.0.2.1", 3)
		w.expect("protected in another jail", "ban 192.0.2.1/32 offence 1", "unban 192.0.2.1/32 expired",
			"ban 192.0.2.1/32 offence 2", "protected ignoreip 192.0.2.1/32")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.recidive(2)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		time.Sleep(time.Hour)
		w.attack("192.0.2.1", 3)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", friend), w.jail("recidive", nil)} }
		if err := d.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		w.expectBanned("protected since")
	})
}
