package daemon_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/state"
)

// keep writes into the state file what a process before has left.
func (w *world) keep(batch state.Batch) {
	w.t.Helper()
	store, err := state.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := store.Commit(batch); err != nil {
		w.t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// keepMany leaves so many bans of the jail sshd, each for so long.
func (w *world) keepMany(many int, length time.Duration) {
	w.t.Helper()
	now := time.Now()
	batch := state.Batch{Bans: make(map[state.Who]control.Ban), Past: make(map[state.Who]state.Past)}
	for i, b := range firewalltest.Many(many, false, now.Add(length)) {
		since := now.Add(-time.Duration(i*7919%many) * time.Millisecond) // in another order than that of the addresses
		who := state.Who{Jail: "sshd", Prefix: b.Prefix}
		batch.Bans[who] = control.Ban{
			Jail: "sshd", Prefix: b.Prefix, Since: since, Until: b.Until, Offence: 1, Origin: control.OriginJournal,
			Reason: "count: 5 of 5 points in 1d, offence 1, step 1",
		}
		batch.Past[who] = state.Past{Offences: 1, Last: since, Cleared: since}
	}
	w.keep(batch)
}

// A daemon that starts with 100,000 bans in its file and about as many in the kernel changes only what differs, knows
// them all, and bans the next attacker. So does the one after it.
func TestStartWithManyBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lost, ended, foreign = 1000, 500, 7
		many := 100_000
		if testing.Short() { // for the race detector, which learns nothing from more
			many = 5000
		}
		w := newWorld(t)
		now := time.Now()
		bans := firewalltest.Many(many, false, now.Add(24*time.Hour))
		for i := range ended {
			bans[i].Until = now.Add(time.Second)
		}
		batch := state.Batch{Bans: make(map[state.Who]control.Ban), Past: make(map[state.Who]state.Past)}
		for _, b := range bans {
			who := state.Who{Jail: "sshd", Prefix: b.Prefix}
			batch.Bans[who] = control.Ban{Jail: "sshd", Prefix: b.Prefix, Since: now.Add(-time.Hour), Until: b.Until, Offence: 1, Origin: control.OriginJournal}
			batch.Past[who] = state.Past{Offences: 1, Last: now.Add(-time.Hour), Cleared: now.Add(-time.Hour)}
		}
		w.keep(batch)
		held := append(bans[:many-lost:many-lost], firewalltest.Many(foreign, true, now.Add(time.Hour))...)
		if err := w.kernel.Apply(t.Context(), firewall.Change{Add: held}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the daemon is down
		for i, banned := range []int{many - ended, many - ended + 1} {
			w.kernel.Changes = nil
			w.start()
			s, err := w.d.Status(t.Context())
			if err != nil || s.Banned != banned || s.Enforced != banned {
				t.Errorf("start %d: %d bans, %d in the kernel, %v; want %d", i+1, s.Banned, s.Enforced, err, banned)
			}
			if n := len(w.kernel.Bans()); n != banned {
				t.Errorf("start %d: the kernel holds %d bans, want %d", i+1, n, banned)
			}
			added := 0
			for _, c := range w.kernel.Changes {
				added += len(c.Add)
			}
			if want := map[int]int{0: lost, 1: 0}[i]; added != want {
				t.Errorf("start %d: %d bans were added to the kernel, want %d", i+1, added, want)
			}
			w.told = nil
			w.hand()
			attacker := fmt.Sprintf("192.0.2.%d", i+1)
			w.attack(attacker, 3)
			w.expect("an attack", fmt.Sprintf("ban %s/32 offence 1", attacker))
			w.end(w.d)
		}
		if n := len(w.outcome().Disk); n != many-ended+2 {
			t.Errorf("the file holds %d bans, want %d", n, many-ended+2)
		}
	})
}
