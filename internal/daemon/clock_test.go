package daemon_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/state"
)

// The clock is set back by a day, so that what was logged before is in the future. Bans stay, new guesses count as always, and an unban and a
// new ban work as always. A restart changes nothing.
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

// The clock is set forward by a day, and a day of log is missing: bans whose time is over end, counters are outdated, and the history stays.
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

// TestLogAhead: a log whose clock is a day ahead, as with a wrong time zone, does not make bans longer.
func TestLogAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.wrong = 24 * time.Hour
		w.attack("192.0.2.1", 3)
		w.expectBanned("ahead", "192.0.2.1/32")
		time.Sleep(59 * time.Minute)
		w.expectBanned("for an hour", "192.0.2.1/32")
		time.Sleep(2 * time.Minute)
		w.expectBanned("and no longer")
	})
}

// TestBansOfTomorrow: bans that were made before the clock was set back end that much earlier, after a while: a host without a battery boots in
// the past. Permanent bans stay.
func TestBansOfTomorrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tomorrow := time.Now().Add(24 * time.Hour)
		bans := make(map[state.Who]control.Ban)
		for addr, times := range map[string][2]time.Time{
			"192.0.2.1/32": {tomorrow, tomorrow.Add(2 * time.Hour)}, "192.0.2.2/32": {tomorrow}, "192.0.2.3/32": {time.Now(), tomorrow},
		} {
			who := state.Who{Jail: "sshd", Prefix: netip.MustParsePrefix(addr)}
			bans[who] = control.Ban{Jail: who.Jail, Prefix: who.Prefix, Since: times[0], Until: times[1], Origin: control.OriginJournal}
		}
		w.keep(state.Batch{Bans: bans})
		until := func() time.Duration {
			list, _, err := w.d.Bans(t.Context(), control.Page{})
			if err != nil {
				t.Fatal(err)
			}
			return time.Until(list[0].Until).Round(time.Minute)
		}
		d := w.start()
		time.Sleep(5 * time.Minute)
		if got := until(); got != 25*time.Hour+55*time.Minute {
			t.Errorf("soon after the start it lasts %v", got)
		}
		time.Sleep(6 * time.Minute)
		if got := until(); got != 1*time.Hour+59*time.Minute {
			t.Errorf("later it lasts %v", got)
		}
		w.end(d)
		d = w.start()
		defer w.end(d)
		time.Sleep(2 * time.Hour)
		w.expectBanned("also after a restart", "192.0.2.2/32", "192.0.2.3/32")
	})
}
