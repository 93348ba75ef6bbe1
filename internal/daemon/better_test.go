package daemon_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
	"exile/journal"
)

// TestBetter: a plan that was made because something could not be read is replaced as soon as it can be read. Bans stay, and guesses are not
// counted twice.
func TestBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var broken, can atomic.Bool
		w.change = func(p *daemon.Plan) {
			p.Better = func(context.Context) (*daemon.Plan, error) {
				switch {
				case can.Load():
					better := w.plan(w.jails())
					better.Better = nil
					return better, nil
				case broken.Load():
					return nil, errors.New("the backend is gone")
				}
				return nil, nil
			}
		}
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 2)
		time.Sleep(time.Minute)
		broken.Store(true)
		time.Sleep(time.Minute)
		w.expect("not yet", "ban 192.0.2.1/32 offence 1")
		can.Store(true)
		time.Sleep(10 * time.Second)
		w.expect("now, and once", "reloaded ")
		w.expectBanned("it stays", "192.0.2.1/32")
		w.attack("192.0.2.2", 1)
		w.expectBanned("the third guess", "192.0.2.1/32", "192.0.2.2/32")
		time.Sleep(time.Minute)
		w.expect("for good", "ban 192.0.2.2/32 offence 1")
	})
}

// A ban that the same turn decides does not wait for a better plan, which may take long to be made.
func TestNoBanWaitsForBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var seen time.Time // when the ban was first seen in the kernel
		w.change = func(p *daemon.Plan) {
			p.Better = func(context.Context) (*daemon.Plan, error) {
				if seen.IsZero() && len(w.kernel.Bans()) > 0 {
					seen = time.Now()
				}
				return nil, nil
			}
		}
		d := w.start()
		defer w.end(d)
		for range 3 {
			weak := w.guess("192.0.2.1")
			weak.Message = []byte("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root")
			w.source.live <- []journal.Entry{weak}
		}
		time.Sleep(10 * time.Minute)
		w.expectBanned("weak evidence, which a tick finds", "192.0.2.1/32")
		if len(w.journal) == 0 || !w.journal[0].Time.Equal(seen) {
			t.Errorf("the kernel had the ban at %v; want it in the turn that decided it: %v", seen, w.journal)
		}
	})
}
