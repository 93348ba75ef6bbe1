package daemon_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"exile/internal/daemon"
	"exile/journal"
)

// TestInstead: a journal that must be read through journalctl makes the daemon degraded, and it says what to do.
func TestInstead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		newer := errors.New("incompatible flags 0x100")
		w.change = func(p *daemon.Plan) { p.Sources[0].Instead = func() error { return newer } }
		d := w.start()
		defer w.end(d)
		w.expect("start", "degraded journal-format")
		if got := w.remedy("journal-format"); !strings.Contains(got, "install a newer exile") {
			t.Errorf("remedy %q", got)
		}
		w.hand()
		newer = nil // a reload with a newer exile would do that
		w.source.live <- []journal.Entry{w.guess("192.0.2.1")}
		synctest.Wait()
		w.expect("read as it should be", "recovered journal-format")
	})
}
