package daemon_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/daemon"
	"exile/journal"
)

// manyBans are so many that lifting them takes many turns of the loop.
const manyBans = 20 * daemon.RoundStep

// guesses are wrong passwords from an address, in one batch.
func (w *world) guesses(addr string, n int) []journal.Entry {
	var batch []journal.Entry
	for range n {
		batch = append(batch, w.guess(addr))
	}
	return batch
}

// busy is a kernel that takes its time, so that others get their turn.
type busy struct{ *firewalltest.Fake }

func (b busy) Apply(ctx context.Context, c firewall.Change) error {
	time.Sleep(time.Millisecond)
	return b.Fake.Apply(ctx, c)
}

// index is the number of the first change that the kernel was asked for and of which is says so, or -1.
func (w *world) index(is func(firewall.Change) bool) int {
	return slices.IndexFunc(w.kernel.Changes, is)
}

func adds(addr string) func(firewall.Change) bool {
	return func(c firewall.Change) bool {
		return slices.ContainsFunc(c.Add, func(b firewall.Ban) bool { return b.Prefix.Addr().String() == addr })
	}
}

// ends are the ways in which very many bans end at once. Each returns when they have ended.
func ends() map[string]func(w *world, d *running) (lifted int, err error) {
	return map[string]func(w *world, d *running) (int, error){
		"flush":           func(w *world, d *running) (int, error) { return d.Unban(w.t.Context(), "", netip.Prefix{}) },
		"flush of a jail": func(w *world, d *running) (int, error) { return d.Unban(w.t.Context(), "sshd", netip.Prefix{}) },
		"expiry": func(w *world, d *running) (int, error) {
			for time.Sleep(time.Hour); ; {
				s, err := d.Status(w.t.Context())
				if err != nil || s.Unbans == manyBans {
					return int(s.Unbans), err
				}
				time.Sleep(time.Millisecond)
			}
		},
		"reload with friends": func(w *world, d *running) (int, error) {
			w.jails = func() []*daemon.Jail {
				return []*daemon.Jail{w.jail("sshd", allowList{netip.MustParsePrefix("8.0.0.0/5")})}
			}
			return manyBans, d.Reload(w.t.Context())
		},
	}
}

// However many bans end at once, each turn of the loop lifts a few of them, and an attack is banned before all are lifted. The kernel gets no
// change that is larger than a step.
func TestAttackDuringManyEnds(t *testing.T) {
	t.Parallel()
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { attackDuring(t, name, end) })
		})
	}
}

func attackDuring(t *testing.T, name string, end func(*world, *running) (int, error)) {
	w := newWorld(t)
	ended := time.Now().Add(time.Hour)
	w.keepMany(manyBans, time.Hour)
	w.backend = busy{w.kernel}
	d := w.start()
	defer w.end(d)
	w.hand()
	w.kernel.Changes = nil
	w.hand()
	attack := w.guesses("192.0.2.1", 3)
	done := make(chan error)
	go func() {
		lifted, err := end(w, d)
		if err == nil && lifted != manyBans {
			t.Errorf("%d bans were lifted, want %d", lifted, manyBans)
		}
		done <- err
	}()
	if time.Sleep(2 * time.Millisecond); name == "expiry" {
		time.Sleep(time.Until(ended))
	}
	for i := range attack {
		attack[i].Time = time.Now()
	}
	w.source.live <- attack
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	w.expectBanned("afterwards", "192.0.2.1/32")
	for i, c := range w.kernel.Changes {
		if len(c.Add)+len(c.Del) > 2*daemon.RoundStep {
			t.Errorf("change %d is of %d bans, more than a step of %d", i, len(c.Add)+len(c.Del), daemon.RoundStep)
		}
	}
	if banned := w.index(adds("192.0.2.1")); banned < 0 || banned >= len(w.kernel.Changes)-1 {
		t.Errorf("the attack was banned by change %d of %d, after all others", banned, len(w.kernel.Changes))
	}
}

// Another flush or pause meanwhile waits for it, too. Bans that were made after the first request are lifted by the second one only.
func TestFlushesFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.keepMany(manyBans, time.Hour)
		d := w.start()
		defer w.end(d)
		counts := make(chan int)
		flush := func() {
			n, err := d.Unban(t.Context(), "", netip.Prefix{})
			if err != nil {
				t.Error(err)
			}
			counts <- n
		}
		for range 3 {
			go flush()
		}
		sum := 0
		for range 3 {
			sum += <-counts
		}
		if sum != manyBans {
			t.Errorf("three flushes lifted %d bans together, want %d", sum, manyBans)
		}
		w.expectBanned("flushed")
		if err := d.Pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	})
}

// A stop does not wait for the end of a flush. The flush is completed: the disk and the journal have it, and the kernel drops the bans when the next
// process has read the log.
func TestStopDuringFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.keepMany(manyBans, time.Hour)
		d := w.start()
		failed := make(chan error)
		go func() {
			_, err := d.Unban(context.Background(), "", netip.Prefix{})
			failed <- err
		}()
		for n := manyBans; n == manyBans; {
			s, err := d.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n = s.Banned
		}
		w.end(d)
		if err := <-failed; err == nil {
			t.Log("the flush was quicker than the stop")
		}
		if left := w.outcome(); len(left.Disk) != 0 || len(w.journal) == 0 || w.journal[0].Count != manyBans {
			t.Errorf("%d bans are on disk, and the journal has %d entries", len(left.Disk), len(w.journal))
		}
		w.end(w.start())
		if again := w.outcome(); len(again.Kernel) != 0 || len(again.Disk) != 0 {
			t.Errorf("%d bans in the kernel, %d on disk, want none", len(again.Kernel), len(again.Disk))
		}
	})
}
