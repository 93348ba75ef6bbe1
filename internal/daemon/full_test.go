package daemon_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
)

// bounded makes plans that hold at most that many bans.
func (w *world) bounded(maxBans int) {
	w.change = func(p *daemon.Plan) { p.MaxBans = maxBans }
}

// keepBans leaves bans of the jail sshd in the state file, each made a minute after the one before it.
func (w *world) keepBans(bans ...control.Ban) {
	w.t.Helper()
	batch := state.Batch{Bans: make(map[state.Who]control.Ban)}
	for i, b := range bans {
		b.Jail, b.Since, b.Offence = "sshd", time.Now().Add(time.Duration(i-len(bans))*time.Minute), 1
		batch.Bans[state.Who{Jail: b.Jail, Prefix: b.Prefix}] = b
	}
	w.keep(batch)
}

// longBans are bans of a day each, as an attack makes them.
func longBans(many int) []control.Ban {
	bans := make([]control.Ban, many)
	for i := range bans {
		bans[i] = control.Ban{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32),
			Until:  time.Now().Add(24*time.Hour + time.Duration(i)*time.Minute), Origin: control.OriginJournal,
		}
	}
	return bans
}

// A full table lifts the ban that ends soonest, then permanent ones, and bans by hand last. The status says so.
func TestFullTableLiftsWhatEndsSoonest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.bounded(32)
		bans := longBans(32)
		bans[4].Until = time.Now().Add(2 * time.Hour)
		bans[5].Until = time.Now().Add(3 * time.Hour)
		bans[6].Origin, bans[6].Until = control.OriginManual, time.Now().Add(3*time.Hour)
		for i := 7; i < 30; i++ {
			bans[i].Until = time.Time{}
		}
		w.keepBans(bans...)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.expect("one more", "degraded bans-full", "ban 192.0.2.1/32 offence 1", "unban 198.51.100.4/32 full")
		w.attack("192.0.2.2", 3)
		w.expect("another one", "ban 192.0.2.2/32 offence 1", "unban 198.51.100.5/32 full")
		if len(w.banned()) != 32 || slices.Contains(w.banned(), "198.51.100.5/32") {
			t.Errorf("the kernel holds %q", w.banned())
		}
		for i := range 40 {
			time.Sleep(time.Second)
			if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix(fmt.Sprintf("203.0.113.%d/32", i)), Permanent: true}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := d.Status(t.Context())
		if err != nil || s.Banned != 32 || s.Evicted != 42 || !slices.Equal(s.Degraded, []string{"bans-full"}) {
			t.Errorf("%d bans, %d evicted, degraded %q, %v; want 32, 42, bans-full", s.Banned, s.Evicted, s.Degraded, err)
		}
		if first := w.banned()[0]; first != "203.0.113.10/32" {
			t.Errorf("%s is the first of those by hand that is left, want 203.0.113.10/32", first)
		}
	})
}

// If a full table has only long bans, short ones do not lift each other: a sixteenth of it is reserved for the newest.
func TestFullTableKeepsNewBans(t *testing.T) {
	for name, origin := range map[string]control.Origin{"by the log": control.OriginJournal, "by hand": control.OriginManual} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.bounded(32)
				bans := longBans(32)
				for i := range bans {
					bans[i].Origin = origin
				}
				w.keepBans(bans...)
				d := w.start()
				defer w.end(d)
				for i := range 3 {
					w.attack(fmt.Sprintf("192.0.2.%d", i), 3)
				}
				if diff := cmp.Diff([]string{"192.0.2.1/32", "192.0.2.2/32", "198.51.100.10/32"}, w.banned()[:3]); diff != "" {
					t.Errorf("the kernel holds (-want +got)\n%s", diff)
				}
				w.hand()
				time.Sleep(25 * time.Hour)
				w.expectBanned("when all are served")
			})
		})
	}
}

// Restored bans obey the limit, and so do bans at a reload.
func TestBoundOfRestoreAndReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.bounded(100)
		w.keepMany(3*daemon.RoundStep, 24*time.Hour)
		d := w.start()
		defer w.end(d)
		if n := len(w.banned()); n != 100 {
			t.Errorf("%d bans after the start, want 100", n)
		}
		w.hand()
		w.bounded(16)
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(w.banned()); n != 16 {
			t.Errorf("%d bans after the reload, want 16", n)
		}
		w.hand()
		if s, err := d.Status(t.Context()); err != nil || s.Evicted != 3*daemon.RoundStep-16 {
			t.Errorf("%d were evicted, %v", s.Evicted, err)
		}
	})
}
