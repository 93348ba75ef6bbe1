package daemon_test

import (
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/tally"
	"exile/journal"
)

// history is what the daemon knows of all days.
func (w *world) history(jail string) control.History {
	w.t.Helper()
	h, err := w.d.History(w.t.Context(), jail, time.Time{}, time.Time{})
	if err != nil {
		w.t.Error(err)
	}
	return h
}

// perDay returns the attempts of each day that is kept.
func perDay(h control.History) map[string]uint64 {
	days := make(map[string]uint64)
	for i := range h.Days {
		days[h.Days[i].Start().Format(time.DateOnly)] += h.Days[i].Attempts
	}
	return days
}

// Attempts and bans are counted for the day of their entry, also when they come around midnight, once across restarts.
func TestYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		time.Sleep(time.Until(date(2)) - 10*time.Second)
		late := w.guess("192.0.2.9")
		w.attack("192.0.2.1", 3)
		time.Sleep(10 * time.Second)
		w.attack("192.0.2.7", 2)
		w.seq++
		late.Position.Seqnum = w.seq
		w.source.live <- []journal.Entry{late} // logged before midnight
		synctest.Wait()
		h := w.history("sshd")
		if got := perDay(h); got["2000-01-01"] != 4 || got["2000-01-02"] != 2 || len(got) != 2 {
			t.Errorf("attempts by day: %v", got)
		}
		if top := h.Addresses.List; len(top) != 3 || top[0] != (tally.Ranked{Name: "192.0.2.1", AtLeast: 3, AtMost: 3}) {
			t.Errorf("addresses: %v", top)
		}
		total := h.Total()
		if total.Bans != 1 || h.Latency.Bans() != 1 || h.Days[0].Hours[23].Attempts != 4 || h.Days[1].Hours[0].Attempts != 2 {
			t.Errorf("history: %+v", h)
		}
		time.Sleep(10 * time.Second)
		w.end(d)
		d = w.start() // and reads again
		h = w.history("")
		if got := h.Total().Attempts; got != total.Attempts {
			t.Errorf("%d attempts after a restart, want %d", got, total.Attempts)
		}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.attack("192.0.2.7", 1)
		h = w.history("")
		if got := h.Total(); got.Attempts != total.Attempts+1 || got.Bans != total.Bans+1 {
			t.Errorf("%+v after a reload, want one more than %+v", got, total)
		}
		if h := w.history("nosuch"); len(h.Days) != 0 {
			t.Errorf("of another jail: %+v", h)
		}
		w.end(d)
	})
}
