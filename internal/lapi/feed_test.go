package lapi_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/lapi"
)

// fakeDaemon lists bans, and calls during while it does.
type fakeDaemon struct {
	mu     sync.Mutex // the test changes it between lists
	bans   []lapi.Ban
	paused time.Time
	fails  int // how many lists fail
	during func()
}

func (d *fakeDaemon) Status(context.Context) (control.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return control.Status{PausedTo: d.paused}, nil
}

func (d *fakeDaemon) EachBan(_ context.Context, _ string, f func(control.Ban) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails > 0 {
		d.fails--
		return errors.New("gone")
	}
	for _, b := range d.bans {
		if err := f(control.Ban{Jail: b.Jail, Prefix: b.Prefix, Until: b.Until}); err != nil {
			return err
		}
	}
	if d.during != nil {
		d.during()
	}
	return f(control.Ban{Jail: "trial", Prefix: netip.MustParsePrefix("203.0.113.1/32"), Simulated: true})
}

func (d *fakeDaemon) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// The book follows exiled: its list, its signals, also those that come while it lists, its restarts and its pauses.
func TestFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book, failures := lapi.NewBook(), 0
		f := lapi.NewFeed(book, func(error) { failures++ })
		event := func(kind control.EventKind, text string) control.Event {
			b := ban(t, text)
			return control.Event{Kind: kind, Ban: control.Ban{Jail: b.Jail, Prefix: b.Prefix, Until: b.Until}}
		}
		d := &fakeDaemon{bans: bans(t, "sshd 192.0.2.1 1h", "sshd 192.0.2.2 1h"), fails: 1}
		d.during = func() { // the list is older than these
			f.Hear(event(control.BanNew, "sshd 192.0.2.3 1h"))
			f.Hear(event(control.BanRemoved, "sshd 192.0.2.2"))
		}
		ctx, cancel := context.WithCancel(t.Context())
		go f.Run(ctx, d)
		heard := func(want ...string) {
			t.Helper()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			expect(t, poll(t, book, "a", false), want...)
		}
		f.Joined()
		heard("+sshd 192.0.2.3/32 1h0m0s", "+sshd 192.0.2.1/32 1h0m0s")
		if failures != 1 {
			t.Errorf("%d failures are told, want one", failures)
		}
		d.change(func() { d.during = nil })
		simulated := event(control.BanNew, "sshd 192.0.2.8")
		simulated.Ban.Simulated = true
		f.Hear(simulated)
		f.Hear(event(control.BanNew, "web 192.0.2.9"))
		heard("+web 192.0.2.9/32 87600h0m0s")

		d.change(func() { d.bans = bans(t, "sshd 192.0.2.1 1h") }) // exiled restarts; what it did meanwhile is only in its list
		f.Joined()
		heard("-sshd 192.0.2.3/32", "-web 192.0.2.9/32")

		d.change(func() { d.paused = time.Now().Add(time.Hour) }) // nothing is in force
		heard("-sshd 192.0.2.1/32")
		f.Hear(event(control.BanNew, "sshd 192.0.2.7"))
		heard()
		d.change(func() { d.paused = time.Time{} })
		heard("+sshd 192.0.2.1/32 1h0m0s")
		cancel()
		synctest.Wait()
	})
}
