package daemon_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/daemon"
)

func TestProtectedAndManual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mine := netip.MustParsePrefix("198.51.100.0/24")
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", allowList{mine})} }
		d := w.start()
		defer w.end(d)
		w.attack("198.51.100.7", 3)
		w.expect("my own network", "protected ignoreip 198.51.100.0/24")
		request := control.BanRequest{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Duration: time.Minute}
		if _, err := d.Ban(t.Context(), request); !errors.Is(err, control.ErrProtected) {
			t.Errorf("ban of a protected address: %v, want %v", err, control.ErrProtected)
		}
		around := control.BanRequest{Prefix: netip.MustParsePrefix("198.51.0.0/16"), Duration: time.Minute}
		if _, err := d.Ban(t.Context(), around); !errors.Is(err, control.ErrProtected) {
			t.Errorf("ban of a network with a protected address: %v, want %v", err, control.ErrProtected)
		}
		request.Force = true
		if _, err := d.Ban(t.Context(), request); err != nil {
			t.Errorf("forced ban: %v", err)
		}
		w.expectBanned("forced", "198.51.100.7/32")
		time.Sleep(time.Minute)
		w.expectBanned("a minute later")
		for _, bad := range []control.BanRequest{
			{},
			{Prefix: netip.MustParsePrefix("10.0.0.0/7")},
			{Jail: "nginx", Prefix: netip.MustParsePrefix("192.0.2.1/32")},
			{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Duration: -1},
		} {
			if _, err := control.Checked(d).Ban(t.Context(), bad); err == nil {
				t.Errorf("Ban(%+v) did not fail", bad)
			}
		}
	})
}

// A ban by hand makes a ban longer, never shorter. Of many at once each fails on its own.
func TestBanByHandNeverShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		begin := time.Now()
		one, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		for _, step := range []struct {
			request control.BanRequest
			want    time.Time
		}{
			{control.BanRequest{Prefix: one, Duration: time.Hour}, begin.Add(time.Hour)},
			{control.BanRequest{Prefix: one, Duration: time.Minute}, begin.Add(time.Hour)},
			{control.BanRequest{Prefix: one, Duration: 2 * time.Hour}, begin.Add(2 * time.Hour)},
			{control.BanRequest{Prefix: one, Permanent: true}, time.Time{}},
			{control.BanRequest{Prefix: one, Duration: time.Hour}, time.Time{}},
		} {
			b, err := d.Ban(t.Context(), step.request)
			if err != nil || !b.Until.Equal(step.want) {
				t.Errorf("Ban(%+v) until %s, %v; want until %s", step.request, b.Until, err, step.want)
			}
		}
		errs, err := control.Checked(d).BanMany(t.Context(), []control.BanRequest{{Prefix: one, Duration: time.Hour}, {}, {Prefix: other, Duration: time.Hour}, {Jail: "nginx", Prefix: other}})
		if err != nil || len(errs) != 4 || errs[0] != nil || !errors.Is(errs[1], control.ErrInvalid) || errs[2] != nil || !errors.Is(errs[3], control.ErrNoSuchJail) {
			t.Errorf("BanMany: %v, %v", errs, err)
		}
		w.expectBanned("after all", one.String(), other.String())
		time.Sleep(24 * time.Hour)
		w.expectBanned("a day later", one.String())
	})
}

func TestReloadKeepsBansAndCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 2)
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("reloaded", "192.0.2.1/32")
		w.attack("192.0.2.2", 1)
		w.expect("third guess", "ban 192.0.2.1/32 offence 1", "reloaded ", "ban 192.0.2.2/32 offence 1")
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("other", nil)} }
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("the jail is gone")
	})
}

// TestPause: during a pause no ban is in force and none is made. After it, the bans that have not ended are in force again.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		if err := d.Pause(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("paused")
		w.attack("192.0.2.2", 3)
		w.expectBanned("paused")
		if s, err := d.Status(t.Context()); err != nil || s.Banned != 1 || s.Enforced != 0 {
			t.Errorf("in the pause: %d banned, %d enforced, %v; want 1 and 0", s.Banned, s.Enforced, err)
		}
		time.Sleep(10 * time.Minute)
		// At once, not when somebody asks. Whether it was seen to catch up with so little is chance.
		synctest.Wait()
		w.states = slices.DeleteFunc(w.states, func(s string) bool { return s == "catching-up" })
		w.expectStates("running", "paused", "running")
		w.expectBanned("resumed", "192.0.2.1/32")
		w.attack("192.0.2.2", 3)
		w.expectBanned("resumed", "192.0.2.1/32", "192.0.2.2/32")
		for _, t := range []time.Duration{time.Minute, time.Hour, 0} { // another end is news too
			if err := d.Pause(w.t.Context(), t); err != nil {
				w.t.Fatal(err)
			}
		}
		w.expectStates("paused", "paused", "running")
		if s, err := d.Status(t.Context()); err != nil || !s.PausedTo.IsZero() {
			t.Errorf("after the pause: paused until %v, %v", s.PausedTo, err)
		}
	})
}

// A pause lasts as long as requested, whatever happens to the daemon.
func TestPauseSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		if err := d.Pause(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		w.end(d)
		d = w.start()
		w.attack("192.0.2.1", 3)
		w.expectBanned("paused")
		time.Sleep(10 * time.Minute)
		w.expectBanned("resumed")
		w.attack("192.0.2.1", 3)
		w.expectBanned("resumed", "192.0.2.1/32")
		if err := errors.Join(d.Pause(t.Context(), time.Hour), d.Pause(t.Context(), 0)); err != nil {
			t.Fatal(err)
		}
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.expectBanned("the pause was ended", "192.0.2.1/32")
	})
}

func (w *world) expectStates(want ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.states); diff != "" {
		w.t.Errorf("states (-want +got)\n%s", diff)
	}
	w.states = nil
	w.hand()
}
