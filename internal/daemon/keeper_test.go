package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
)

// A reload that exchanges the backend fills the new one first; what the old one left goes only when the new one has every
// ban, and is tried again until it is gone.
func TestReloadExchangesTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		old, next := w.kernel, firewalltest.NewFake()
		refuse, sweepFails := errors.New("no memory"), errors.New("busy")
		next.Fail = func(firewalltest.Verb) error { return refuse }
		sweeps := 0
		w.kernel, w.change = next, func(p *daemon.Plan) {
			p.Sweep = func(context.Context) error {
				if sweeps++; len(next.Bans()) != 1 {
					t.Error("swept before the new backend had the ban")
				}
				return sweepFails
			}
		}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.hand()
		if old.Closed != 1 || len(old.Bans()) != 1 || sweeps != 0 {
			t.Errorf("new backend refuses: old one closed %d times, has %d bans, swept %d times; want 1, 1, 0",
				old.Closed, len(old.Bans()), sweeps)
		}
		refuse = nil
		w.hand()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.hand()
		w.expectBanned("new backend filled", "192.0.2.1/32")
		if sweeps == 0 {
			t.Error("never swept")
		}
		sweepFails = nil
		w.hand()
		time.Sleep(2 * time.Minute)
		w.hand()
		done := sweeps
		time.Sleep(10 * time.Minute)
		w.hand()
		if done < 2 || sweeps != done {
			t.Errorf("swept %d times, then %d; want again after a failure, and never after a success", done, sweeps)
		}
	})
}

// Each minute the bans are counted, which costs nothing, and only what the count cannot show waits an hour to be compared.
func TestVerifyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil), w.jail("other", nil)} }
		d := w.start()
		defer w.end(d)
		for _, addr := range []string{"192.0.2.1", "192.0.2.2"} { // by both jails
			if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix(addr + "/32"), Permanent: true}); err != nil {
				t.Fatal(err)
			}
			w.attack(addr, 3)
		}
		listed := func(pass time.Duration) int {
			t.Helper()
			before := w.kernel.Listed
			w.hand()
			time.Sleep(pass)
			synctest.Wait()
			defer w.hand()
			return w.kernel.Listed - before
		}
		silently := func(c firewall.Change) {
			t.Helper()
			if err := w.kernel.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			w.hand()
		}
		bans := w.kernel.Bans()
		if len(bans) != 2 {
			t.Fatalf("%d bans in the kernel, want 2", len(bans))
		}
		if n := listed(50 * time.Minute); n != 0 {
			t.Errorf("listed %d times in 50 quiet minutes", n)
		}
		silently(firewall.Change{Del: []firewall.Key{bans[0].Key}})
		if n := listed(time.Minute); n != 1 {
			t.Errorf("a ban is gone: listed %d times, want 1", n)
		}
		w.expectBanned("repaired", "192.0.2.1/32", "192.0.2.2/32")
		silently(firewall.Change{Del: []firewall.Key{bans[0].Key}, Add: firewalltest.Many(1, false, time.Time{})})
		if n := listed(time.Hour + time.Minute); n != 1 {
			t.Errorf("a ban was exchanged: listed %d times in an hour, want 1", n)
		}
		w.expectBanned("repaired again", "192.0.2.1/32", "192.0.2.2/32")
	})
}

// While the kernel refuses, the status says how many bans it has.
func TestEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.kernel.Fail = func(v firewalltest.Verb) error {
			if v == firewalltest.Apply {
				return errors.New("no memory")
			}
			return nil
		}
		w.hand()
		w.attack("192.0.2.2", 3)
		s, err := d.Status(t.Context())
		if err != nil || s.Banned != 2 || s.Enforced != 1 {
			t.Errorf("banned %d, enforced %d, %v; want 2, 1", s.Banned, s.Enforced, err)
		}
		w.kernel.Fail = nil
		w.hand()
		time.Sleep(2 * time.Second)
		if s, err := d.Status(t.Context()); err != nil || s.Enforced != 2 {
			t.Errorf("after the refusal: enforced %d, %v; want 2", s.Enforced, err)
		}
	})
}
