package daemon_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall/firewalltest"
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
		if old.Closed != 1 || len(old.Bans()) != 1 || sweeps != 0 {
			t.Errorf("new backend refuses: old one closed %d times, has %d bans, swept %d times; want 1, 1, 0",
				old.Closed, len(old.Bans()), sweeps)
		}
		refuse = nil
		time.Sleep(2 * time.Second)
		w.expectBanned("new backend filled", "192.0.2.1/32")
		if sweeps == 0 {
			t.Error("never swept")
		}
		sweepFails = nil
		w.hand()
		time.Sleep(2 * time.Minute)
		done := sweeps
		time.Sleep(10 * time.Minute)
		if synctest.Wait(); done < 2 || sweeps != done {
			t.Errorf("swept %d times, then %d; want again after a failure, and never after a success", done, sweeps)
		}
	})
}
