package daemon_test

import (
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/daemon"
)

// Events that wait for a stalled journal when the process ends, killed or orderly, are announced by the next process. Events that the journal
// took are not announced again.
func TestStalledJournal(t *testing.T) {
	t.Parallel()
	for name, killed := range map[string]bool{"killed": true, "stopped": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { stallAndEnd(t, killed) })
		})
	}
}

func stallAndEnd(t *testing.T, killed bool) {
	w := newWorld(t)
	fake, f := w.kernel, &fuse{step: "never"}
	w.backend, w.fuse = mortal{fake, f}, f
	w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, f} }
	d := w.start()
	w.attack("192.0.2.1", 3)
	w.expect("the journal works", "ban 192.0.2.1/32 offence 1")
	w.stalled = true
	w.hand()
	for _, addr := range []string{"192.0.2.2", "192.0.2.3", "192.0.2.4"} { // in a transaction each
		w.attack(addr, 3)
	}
	w.pass(3 * time.Second)
	f.dead.Store(killed)
	_ = d.stop()

	w.stalled, w.waiting, w.backend, w.fuse = false, nil, nil, nil
	w.store = func(s daemon.Store) daemon.Store { return s }
	d = w.start()
	w.expect("started again", "ban 192.0.2.2/32 offence 1", "ban 192.0.2.3/32 offence 1", "ban 192.0.2.4/32 offence 1")
	w.end(d)
	d = w.start()
	w.expect("and again")
	w.end(d)
}
