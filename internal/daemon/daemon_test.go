package daemon_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall/firewalltest"
)

func TestBanExpireAndGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.expect("third guess", "ban 192.0.2.1/32 offence 1")
		w.expectBanned("third guess", "192.0.2.1/32")
		time.Sleep(time.Hour)
		w.expect("an hour later", "unban 192.0.2.1/32 expired")
		w.expectBanned("an hour later")
		w.attack("192.0.2.1", 3)
		w.expect("second offence", "ban 192.0.2.1/32 offence 2")
		time.Sleep(90 * time.Minute)
		w.expectBanned("90 minutes into a ban of two hours", "192.0.2.1/32")
	})
}

func TestRestartCountsEveryGuessOnce(t *testing.T) {
	for guesses := range 4 {
		t.Run(fmt.Sprintf("after %d guesses", guesses), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				d := w.start()
				w.attack("192.0.2.1", guesses)
				w.end(d)
				d = w.start()
				defer w.end(d)
				w.attack("192.0.2.1", 3-guesses)
				w.expect("third guess", "ban 192.0.2.1/32 offence 1")
				w.expectBanned("third guess", "192.0.2.1/32")
			})
		})
	}
}

// Three guesses ban; the ban is lifted at once; two guesses more, a restart, and a third: were the first three counted
// again after the restart, the ban would come too early.
func TestPardonSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		n, err := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32"))
		if n != 1 || err != nil {
			t.Errorf("Unban: %d, %v; want 1, nil", n, err)
		}
		time.Sleep(time.Second)
		w.attack("192.0.2.1", 1)
		w.expect("unban", "ban 192.0.2.1/32 offence 1", "unban 192.0.2.1/32 unban")
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 1)
		w.expectBanned("second guess after the pardon")
		w.attack("192.0.2.1", 1)
		w.expect("third guess after the pardon", "ban 192.0.2.1/32 offence 2")
	})
}

func TestStopLeavesBansAndStartRestoresThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.end(d)
		w.expectBanned("stopped", "192.0.2.1/32")
		if w.kernel.Closed != 1 || w.kernel.Destroyed != 0 {
			t.Errorf("backend closed %d times, destroyed %d times; want 1, 0", w.kernel.Closed, w.kernel.Destroyed)
		}
		w.kernel = firewalltest.NewFake() // a reboot
		d = w.start()
		defer w.end(d)
		w.expectBanned("rebooted", "192.0.2.1/32")
	})
}

func TestSourceThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 2)
		w.source.fail <- errors.New("no inotify watches left")
		time.Sleep(2 * time.Second)
		w.attack("192.0.2.1", 1)
		w.expect("third guess", "degraded source-failed", "recovered source-failed", "ban 192.0.2.1/32 offence 1")
	})
}
