package daemon_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
)

// A flush pardons all addresses, including those that were not banned yet. That holds however the process ends, and whatever its memory or the
// log says.
func TestFlushIsForGood(t *testing.T) {
	t.Parallel()
	jails := map[string]func(w *world) *daemon.Jail{
		"counted":  func(w *world) *daemon.Jail { return w.jail("sshd", nil) },
		"adaptive": (*world).adaptive,
	}
	again := map[string]string{"counted": "ban 192.0.2.1/32 offence 2", "adaptive": "ban 192.0.2.1/32 offence 1"} // as after an unban
	ends := map[string]func(w *world, f *fuse){
		"stop":  func(w *world, _ *fuse) { w.end(w.d) },
		"crash": func(w *world, f *fuse) { f.dead.Store(true); _ = w.d.stop() },
	}
	for kind, jail := range jails {
		for how, end := range ends {
			t.Run(kind+" "+how, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { flushAndRestart(t, jail, end, again[kind]) })
			})
		}
	}
}

func flushAndRestart(t *testing.T, jail func(*world) *daemon.Jail, end func(*world, *fuse), again string) {
	w := newWorld(t)
	w.jails = func() []*daemon.Jail { return []*daemon.Jail{jail(w)} }
	fake, f := w.kernel, &fuse{step: "never"}
	w.backend, w.fuse = mortal{fake, f}, f
	w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, f} }
	d := w.start()
	w.attack("192.0.2.1", 5)
	w.attack("198.51.100.2", 2)
	w.pass(20 * time.Minute)    // the memory is due
	w.attack("198.51.100.2", 2) // and is taken with these
	w.attack("203.0.113.3", 2)
	if n, err := d.Unban(t.Context(), "", netip.Prefix{}); n != 1 || err != nil {
		t.Fatalf("flush: %d, %v; want 1", n, err)
	}
	w.expectBanned("flushed")
	end(w, f)
	w.backend, w.fuse = nil, nil
	w.store = func(s daemon.Store) daemon.Store { return s }
	w.start()
	defer func() { w.end(w.d) }()
	w.expectBanned("started again")
	w.attack("203.0.113.3", 2)
	w.attack("198.51.100.2", 1)
	w.expectBanned("what was before the flush does not count")
	w.attack("192.0.2.1", 5)
	w.expectBanned("what came after it does", "192.0.2.1/32")
	if !slices.Contains(w.told, again) {
		t.Errorf("told %q; want %q", w.told, again)
	}
}

// quick is a kernel that can drop all bans at once.
type quick struct {
	*firewalltest.Fake
	emptied *int
}

func (q quick) Empty(ctx context.Context) error {
	*q.emptied++
	return q.Destroy(ctx)
}

// The kernel drops everything at once if nothing is to be left. Sessions still pass.
func TestFlushEmptiesTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.keepMany(manyBans, time.Hour)
		emptied := 0
		w.backend = quick{w.kernel, &emptied}
		d := w.start()
		w.hand()
		w.kernel.Changes = nil
		w.hand()
		if n, err := d.Unban(t.Context(), "", netip.Prefix{}); n != manyBans || err != nil {
			t.Fatalf("flush: %d, %v; want %d", n, err, manyBans)
		}
		w.expectBanned("flushed")
		if emptied != 1 || len(w.kernel.Changes) != 0 {
			t.Errorf("emptied %d times, and changed %d times, want once and never", emptied, len(w.kernel.Changes))
		}
		w.pass(time.Second)
		w.attack("192.0.2.1", 3)
		w.expectBanned("afterwards", "192.0.2.1/32")
		w.end(d)
	})
}

// What was logged before a flush and is read after it does not count, and does not protect the address from later bans.
func TestFlushBeforeTheLogIsRead(t *testing.T) {
	t.Parallel()
	for kind, jail := range map[string]func(w *world) *daemon.Jail{
		"counted":  func(w *world) *daemon.Jail { return w.jail("sshd", nil) },
		"adaptive": (*world).adaptive,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.jails = func() []*daemon.Jail { return []*daemon.Jail{jail(w)} }
				d := w.start()
				defer w.end(d)
				late := w.guesses("192.0.2.1", 5)
				w.pass(time.Second)
				if _, err := d.Unban(t.Context(), "", netip.Prefix{}); err != nil {
					t.Fatal(err)
				}
				w.source.live <- late
				w.pass(time.Second)
				w.attack("192.0.2.1", 2)
				w.expectBanned("logged before the flush")
				w.attack("192.0.2.1", 3)
				w.expectBanned("logged after the flush", "192.0.2.1/32")
			})
		})
	}
}

// The journal gets an entry for each ban of a jail that has few, however many there are in total.
func TestFlushOfSmallJails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 90
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil), w.jail("web", nil)} }
		d := w.start()
		defer w.end(d)
		for _, jail := range []string{"sshd", "web"} {
			var all []control.BanRequest
			for _, b := range firewalltest.Many(each, false, time.Now()) {
				all = append(all, control.BanRequest{Jail: jail, Prefix: b.Prefix, Duration: time.Hour})
			}
			if _, err := d.BanMany(t.Context(), all); err != nil {
				t.Fatal(err)
			}
		}
		w.forget()
		if n, err := d.Unban(t.Context(), "", netip.Prefix{}); n != 2*each || err != nil {
			t.Fatal(n, err)
		}
		w.hand()
		if len(w.journal) != 2*each {
			t.Errorf("the journal has %d entries of %d bans", len(w.journal), 2*each)
		}
		w.hand()
	})
}

// A flush of one jail does not affect another, even in the kernel and even if both ban the same address.
func TestFlushOfOneJail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		emptied := 0
		w.backend = quick{w.kernel, &emptied}
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil), w.jail("web", nil)} }
		d := w.start()
		for _, r := range []control.BanRequest{{Jail: "sshd"}, {Jail: "web"}} {
			for _, p := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
				if r.Prefix = netip.MustParsePrefix(p); r.Jail == "web" && p == "192.0.2.1/32" {
					continue
				}
				if _, err := d.Ban(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n, err := d.Unban(t.Context(), "sshd", netip.Prefix{}); n != 2 || err != nil {
			t.Fatalf("flush: %d, %v; want 2", n, err)
		}
		w.expectBanned("flushed", "192.0.2.2/32")
		if emptied != 0 {
			t.Error("the kernel was emptied with a ban of another jail in it")
		}
		w.end(d)
		w.start()
		w.expectBanned("started again", "192.0.2.2/32")
		w.end(w.d)
	})
}

// Of very many addresses that are not banned any more, only the last ones are remembered, in memory and on disk, and those that are banned
// again.
func TestFlushForgetsTheOldest(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: very many bans; tested without -short")
	}
	synctest.Test(t, func(t *testing.T) {
		const more = 50_000
		w := newWorld(t)
		now := time.Now()
		batch := state.Batch{Bans: make(map[state.Who]control.Ban), Past: make(map[state.Who]state.Past)}
		many := firewalltest.Many(daemon.KeepPast+more, false, now.Add(24*time.Hour))
		for i, b := range many {
			who := state.Who{Jail: "sshd", Prefix: b.Prefix}
			since := now.Add(-time.Duration(i*7919%len(many)) * time.Millisecond)
			batch.Bans[who] = control.Ban{Jail: "sshd", Prefix: b.Prefix, Since: since, Until: b.Until, Offence: 1, Origin: control.OriginJournal}
			batch.Past[who] = state.Past{Offences: 1, Last: since, Cleared: since}
		}
		w.keep(batch)
		w.backend = quick{w.kernel, new(int)}
		d := w.start()
		if n, err := d.Unban(t.Context(), "", netip.Prefix{}); n != len(many) || err != nil {
			t.Fatal(n, err)
		}
		w.pass(time.Minute)
		w.end(d)
		store, err := state.Open(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		contents, err := store.Load()
		if err != nil {
			t.Fatal(err)
		}
		oldest := now.Add(-daemon.KeepPast * time.Millisecond)
		for who, past := range contents.Past {
			if !past.Last.After(oldest) {
				t.Fatalf("%s is remembered, who was banned %v before the last of them", who.Prefix, now.Sub(past.Last))
			}
		}
		if len(contents.Past) != daemon.KeepPast || len(contents.Bans) != 0 {
			t.Errorf("%d are remembered and %d banned, want %d and 0", len(contents.Past), len(contents.Bans), daemon.KeepPast)
		}
	})
}
