package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
)

// A reload that changes the backend fills the new one first. What the old one left is removed once the new one has every ban, and the removal is
// tried until it succeeds.
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

// Each minute the bans are counted, which costs next to nothing. A comparison finds what counting does not: after a minute if listing is fast,
// after an hour at most if it takes seconds.
func TestVerifyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil), w.jail("other", nil)} }
		w.kernel.Takes = 3 * time.Second
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
		if n := listed(45 * time.Minute); n != 0 {
			t.Errorf("listed %d times in 45 quiet minutes", n)
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
		w.kernel.Takes = 0
		if n := listed(2 * time.Hour); n < 60 || n > 120 {
			t.Errorf("listed %d times in two hours, want it once more after its rest and then once a minute", n)
		}
		silently(firewall.Change{Del: []firewall.Key{bans[0].Key}, Add: firewalltest.Many(1, false, time.Time{})})
		if n := listed(time.Minute); n != 1 {
			t.Errorf("a ban was exchanged and a list is to be had at once: listed %d times in a minute, want 1", n)
		}
		w.expectBanned("repaired at once", "192.0.2.1/32", "192.0.2.2/32")
	})
}

// The number of bans in the kernel that Status reports is not a minute old.
func TestStatusAsksTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 3)
		enforced := func(what string, want int, repairs uint64) {
			t.Helper()
			w.hand()
			time.Sleep(6 * time.Second)
			if s, err := d.Status(t.Context()); err != nil || s.Banned != 2 || s.Enforced != want || s.Repairs != repairs {
				t.Errorf("%s: banned %d, enforced %d, repairs %d, %v; want 2, %d, %d", what, s.Banned, s.Enforced, s.Repairs, err, want, repairs)
			}
			synctest.Wait()
		}
		enforced("calm", 2, 0)
		gone := firewall.Change{Del: []firewall.Key{w.kernel.Bans()[0].Key}}
		if err := w.kernel.Apply(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		enforced("one was taken and is back", 2, 1)
		if err := w.kernel.Apply(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		w.kernel.Fail = func(v firewalltest.Verb) error {
			if v == firewalltest.Apply {
				return errors.New("no memory")
			}
			return nil
		}
		enforced("one was taken and the kernel refuses", 1, 1)
		w.kernel.Fail = nil
		enforced("the kernel is well again", 2, 1)
	})
}

// A jail that simulates decides and announces, but the kernel gets neither its bans nor connections to cut, not even when a comparison repairs
// what others did.
func TestSimulate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Simulate = true
			return []*daemon.Jail{j}
		}
		w.change = func(p *daemon.Plan) {
			p.Kill = func(context.Context, []firewall.Key, []firewall.Spared) error {
				t.Error("connections are cut")
				return nil
			}
		}
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.expect("third guess", "simulated ban 192.0.2.1/32 offence 1")
		w.kernel.Touch()
		time.Sleep(30 * time.Minute)
		if s, err := d.Status(t.Context()); err != nil || s.Bans != 1 || s.Banned != 0 || s.Enforced != 0 || s.Repairs != 0 {
			t.Errorf("bans %d, wanted %d, enforced %d, repairs %d, %v; want 1, 0, 0, 0", s.Bans, s.Banned, s.Enforced, s.Repairs, err)
		}
		time.Sleep(30 * time.Minute)
		w.expect("an hour later", "simulated unban 192.0.2.1/32 expired")
		if n := len(w.kernel.Changes); n != 0 {
			t.Errorf("the kernel was asked for %d changes: %v", n, w.kernel.Changes)
		}
	})
}

// A ban cuts open connections on its ports; so does a repair, for connections that were made before it.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			j := w.jail("sshd", nil)
			j.Ports = []firewall.Port{{Proto: 6, Number: 22}}
			return []*daemon.Jail{j}
		}
		var killed []firewall.Key
		w.change = func(p *daemon.Plan) {
			p.Kill = func(_ context.Context, keys []firewall.Key, _ []firewall.Spared) error {
				killed = append(killed, keys...)
				return errors.New("no module: it is told, and banning goes on")
			}
		}
		d := w.start()
		defer w.end(d)
		want := []firewall.Key{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Port: firewall.Port{Proto: 6, Number: 22}}}
		expect := func(what string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, killed, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("%s: connections cut (-want +got)\n%s", what, diff)
			}
			killed = nil
		}
		w.attack("192.0.2.1", 3)
		expect("ban")
		w.hand()
		w.kernel.Flush()
		synctest.Wait()
		w.expectBanned("repaired", "192.0.2.1/32")
		expect("repair")
		degraded := func(want ...string) {
			t.Helper()
			if s, err := d.Status(t.Context()); err != nil || !slices.Equal(s.Degraded, want) {
				t.Errorf("degraded by %q, %v; want %q", s.Degraded, err, want)
			}
		}
		degraded("connections-not-cut")
		time.Sleep(11 * time.Minute)
		degraded()
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

// A ban that ends at the very moment of a comparison, when the kernel has dropped it already, is no repair.
func TestServedIsNoRepair(t *testing.T) {
	for range 16 { // whether the comparison or the end comes first is a matter of luck
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			d := w.start()
			defer w.end(d)
			ban := control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Duration: 2 * time.Minute}
			if _, err := d.Ban(t.Context(), ban); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			w.expect("served", "ban 192.0.2.1/32 offence 0", "unban 192.0.2.1/32 expired")
		})
	}
}
