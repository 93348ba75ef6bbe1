package replay_test

import (
	"testing"
	"time"

	"exile/journal"
)

// TestMuted: a run whose period has no entry has no lines either, whatever its jails knew before.
func TestMuted(t *testing.T) {
	t.Parallel()
	r, jails := newReplay(t, 1000)
	r.Mute(true)
	guess := journal.Entry{Time: time.Unix(1_700_000_000, 0), PID: 2, Message: []byte("Failed password for root from 192.0.2.1 port 4000 ssh2")}
	r.Observe(jails, &guess)
	if n := r.Count().Matched; n != 0 {
		t.Errorf("%d lines matched before the period began", n)
	}
	r.Mute(false)
	guess.Time = guess.Time.Add(time.Second)
	r.Observe(jails, &guess)
	if n := r.Count().Matched; n != 1 {
		t.Errorf("%d lines of one matched", n)
	}
	r.Mute(true) // a line that comes late
	r.Observe(jails, &guess)
	r.Mute(false)
	r.Observe(jails, &guess)
	if c := r.Count(); c.Matched != 2 || c.Entries != 2 || c.Attempts != 2 {
		t.Errorf("with a line that came late: %+v", c)
	}
}
