package daemon_test

import (
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
	"exile/internal/state"
)

// slow is a store whose disk takes its time.
type slow struct {
	daemon.Store
	takes time.Duration
}

func (s slow) Commit(b state.Batch) error {
	time.Sleep(s.takes)
	return s.Store.Commit(b)
}

// While a disk is slow banning goes on and the loop sleeps: if it spun, no time would pass in this test.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store = func(s daemon.Store) daemon.Store { return slow{s, time.Minute} }
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 3)
		w.expectBanned("the disk is busy", "192.0.2.1/32", "192.0.2.2/32")
		w.expect("what is not on disk is not told")
		w.pass(3 * time.Minute)
		w.expect("the disk is done", "ban 192.0.2.1/32 offence 1", "ban 192.0.2.2/32 offence 1")
		w.end(d)
	})
}
