package daemon_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
)

// lists are a list "bad" with one address.
type lists struct {
	trouble   atomic.Bool
	suspended atomic.Bool
}

func (l *lists) Lists() []control.Blocklist {
	one := control.Blocklist{Name: "bad", Enforced: !l.suspended.Load()}
	if l.trouble.Load() {
		one.Trouble = "open /bad: permission denied"
	}
	return []control.Blocklist{one}
}

func (l *lists) Naming(a netip.Addr) []string {
	if a == netip.MustParseAddr("192.0.2.99") {
		return []string{"bad"}
	}
	return nil
}

func (l *lists) Suspend(suspend bool) { l.suspended.Store(suspend) }

func TestBlocklists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lists
		w := newWorld(t)
		w.change = func(p *daemon.Plan) { p.Blocklists = &l }
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Minute)
		w.expect("well")
		l.trouble.Store(true)
		time.Sleep(10 * time.Second)
		w.expect("unreadable", "degraded blocklist:bad")
		if got := w.remedy("blocklist:bad"); !strings.HasPrefix(got, "open /bad: permission denied. ") {
			t.Errorf("remedy %q", got)
		}
		l.trouble.Store(false)
		time.Sleep(10 * time.Second)
		w.expect("readable", "recovered blocklist:bad")
		for addr, want := range map[string]bool{"192.0.2.99/32": true, "192.0.2.98/32": false} {
			a, err := d.Address(t.Context(), netip.MustParsePrefix(addr))
			says := slices.ContainsFunc(a.Detail, func(s string) bool { return strings.Contains(s, "block list bad") })
			if err != nil || says != want {
				t.Errorf("%s is described as %q (%v)", addr, a.Detail, err)
			}
		}
		if err := d.Pause(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s, err := d.Status(t.Context())
		if err != nil || len(s.Blocklists) != 1 || s.Blocklists[0].Enforced {
			t.Errorf("the lists of a paused daemon are %+v (%v)", s.Blocklists, err)
		}
		time.Sleep(2 * time.Minute)
		if l.suspended.Load() {
			t.Error("the list is still suspended after the pause")
		}
	})
}
