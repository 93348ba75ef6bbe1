package daemon_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The clock is put back by a day. What was logged before lies in the future then: who was banned stays banned, whoever
// guesses now is counted by what he does now, and an unban and a new ban are what they always are. A restart changes nothing.
func TestClockPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.wrong = 24 * time.Hour
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 2)
		w.wrong = 0
		w.attack("192.0.2.3", 2)
		w.expectBanned("put back", "192.0.2.1/32")
		w.end(d)
		d = w.start()
		w.attack("192.0.2.2", 2)
		w.expectBanned("two of tomorrow and two of today", "192.0.2.1/32")
		w.attack("192.0.2.2", 1)
		w.attack("192.0.2.3", 1)
		w.expectBanned("three of today", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")
		if n, err := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32")); n != 1 || err != nil {
			t.Errorf("Unban: %d, %v", n, err)
		}
		w.attack("192.0.2.1", 3)
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.expectBanned("restarted", "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")
		time.Sleep(3 * time.Hour) // the second of 192.0.2.1 lasts two hours
		w.expectBanned("served")
		w.attack("192.0.2.4", 3)
		w.expectBanned("goes on", "192.0.2.4/32")
	})
}

// The clock is put forward by a day, and a day of log is missing: bans whose time is over end, counters are old, and the
// history is what it was.
func TestClockPutForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 2)
		byHand(w, d, "192.0.2.9/32") // for a day
		w.end(d)
		time.Sleep(23 * time.Hour)
		d = w.start()
		defer w.end(d)
		w.expectBanned("put forward", "192.0.2.9/32")
		w.attack("192.0.2.2", 2)
		w.expectBanned("two of yesterday and two of today", "192.0.2.9/32")
		w.attack("192.0.2.1", 3)
		if !slices.Contains(w.told, "ban 192.0.2.1/32 offence 2") {
			t.Errorf("told %q; want the second offence", w.told)
		}
	})
}
