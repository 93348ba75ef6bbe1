package daemon_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
)

// before adds n guesses to the log that the daemon finds when it starts.
func (w *world) before(addr string, guesses int) {
	for range guesses {
		w.source.past = append(w.source.past, w.guess(addr))
		time.Sleep(time.Second)
	}
}

func (w *world) notice() string {
	w.t.Helper()
	s, err := w.d.Status(w.t.Context())
	if err != nil {
		w.t.Error(err)
	}
	return s.Notice
}

func (w *world) expectNotice(what, want string) {
	w.t.Helper()
	if got := w.notice(); got != want {
		w.t.Errorf("%s: notice %q, want %q", what, got, want)
	}
}

// At its first look a jail with a findtime ignores what is older than that, although a ban for it would still run. What is within findtime
// counts.
func TestFirstLookOfThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.before("192.0.2.1", 3)
		time.Sleep(20 * time.Minute)
		w.before("192.0.2.2", 3)
		w.before("192.0.2.3", 2)
		time.Sleep(5 * time.Minute)
		d := w.start()
		w.expect("first look", "ban 192.0.2.2/32 offence 1")
		w.expectBanned("first look", "192.0.2.2/32")
		w.expectNotice("first look", "banned 1 address from the log of the last 1h; exilectl flush takes it back")
		w.attack("192.0.2.1", 2)
		w.expect("what was before does not count")
		w.attack("192.0.2.1", 1)
		w.expect("what is now does", "ban 192.0.2.1/32 offence 1")
		w.attack("192.0.2.3", 1)
		w.expect("nor is forgotten what was just now", "ban 192.0.2.3/32 offence 1")
		if _, err := d.Unban(t.Context(), "", netip.Prefix{}); err != nil {
			t.Error(err)
		}
		w.expectNotice("flushed", "")
		w.end(d)

		// The next start is not the first: it acts on what happened meanwhile.
		time.Sleep(time.Second)
		w.before("192.0.2.4", 3)
		time.Sleep(30 * time.Minute)
		w.told = nil
		d = w.start()
		w.expect("second start", "ban 192.0.2.4/32 offence 1")
		w.expectNotice("second start", "")
		w.end(d)
	})
}

// A detector that remembers a month bans at its first look for what it finds, if the ban would still run. The notice about it stays for a
// day.
func TestFirstLookOfAdaptive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.adaptive()} }
		w.before("192.0.2.1", 5)
		time.Sleep(72*time.Hour - 30*time.Minute)
		w.before("198.51.100.2", 5)
		w.before("203.0.113.3", 5)
		time.Sleep(25 * time.Minute)
		d := w.start()
		defer w.end(d)
		w.expectBanned("first look", "198.51.100.2/32", "203.0.113.3/32")
		const want = "banned 2 addresses from the log of the last 3d; exilectl flush takes it back"
		w.expectNotice("first look", want)
		w.pass(10 * time.Minute)
		if err := d.Reload(t.Context()); err != nil { // tells it no second time, and no longer
			t.Error(err)
		}
		w.pass(23 * time.Hour)
		w.expectNotice("in the evening", want)
		w.pass(51 * time.Minute)
		w.expectNotice("a day later", "")
	})
}

// Without bans there is no notice.
func TestFirstLookAtPeace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.before("192.0.2.1", 2)
		d := w.start()
		defer w.end(d)
		w.expectNotice("first look", "")
	})
}
