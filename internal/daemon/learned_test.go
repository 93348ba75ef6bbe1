package daemon_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
	"exile/internal/daemon"
	"exile/jail/adaptive"
	"exile/journal"
)

// learner is a world whose only jail learns names.
func learner(t *testing.T) *world {
	w := newWorld(t)
	w.jails = func() []*daemon.Jail {
		j := w.adaptive()
		j.Names = j.Memory.(*adaptive.Detector)
		return []*daemon.Jail{j}
	}
	return w
}

// names are what the daemon lists.
func (w *world) names() []string {
	w.t.Helper()
	list, err := w.d.Names(w.t.Context(), "")
	if err != nil {
		w.t.Error(err)
	}
	var names []string
	for _, n := range list {
		names = append(names, n.Jail+" "+string(n.Name))
	}
	return names
}

// tries lets strangers from different places each try a name once.
func (w *world) tries(name string, strangers ...string) {
	for _, addr := range strangers {
		e := w.guess(addr)
		e.Message = []byte("Invalid user " + name + " from " + addr + " port 4000")
		w.source.live <- []journal.Entry{e}
		synctest.Wait()
	}
}

// A forgotten name stays forgotten, even if the power fails at once.
func TestForgetName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := learner(t)
		f := fuse{step: "never"}
		w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, &f} }
		d := w.start()
		w.tries("oracle", "192.0.2.1", "198.51.100.1", "203.0.113.1", "233.252.0.1", "192.31.196.1")
		if diff := cmp.Diff([]string{"sshd oracle"}, w.names()); diff != "" {
			t.Fatalf("names (-want +got)\n%s", diff)
		}
		for _, want := range []bool{true, false} { // the second time there is nothing left
			if known, err := d.ForgetName(t.Context(), "", "oracle"); known != want || err != nil {
				t.Errorf("ForgetName: %t, %v; want %t", known, err, want)
			}
		}
		if _, err := d.ForgetName(t.Context(), "nosuch", "oracle"); !errors.Is(err, control.ErrNoSuchJail) {
			t.Errorf("ForgetName in a jail that is none: %v", err)
		}
		f.dead.Store(true) // what is not on disk now is lost
		w.hand()
		_ = d.stop() // the disk is dead
		w.store = func(s daemon.Store) daemon.Store { return s }
		d = w.start()
		defer w.end(d)
		if got := w.names(); len(got) > 0 {
			t.Errorf("after a crash there are names again: %q", got)
		}
	})
}

// An address that is forgotten starts anew: its attempts do not count, neither now nor when they are read again, and its
// next ban is its first. Its neighbours are not forgotten, and neither is its ban.
func TestForgetAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		if _, err := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32")); err != nil {
			t.Fatal(err)
		}
		w.attack("192.0.2.1", 2)
		w.attack("192.0.2.200", 2)
		w.attack("198.51.100.1", 2)
		w.attack("198.51.100.2", 3)
		for _, tt := range []struct {
			prefix string
			known  bool
		}{{"192.0.2.0/25", true}, {"192.0.2.0/25", false}, {"198.51.100.2/32", true}, {"203.0.113.0/24", false}} {
			known, err := d.ForgetAddress(t.Context(), "sshd", netip.MustParsePrefix(tt.prefix))
			if known != tt.known || err != nil {
				t.Errorf("ForgetAddress %s: %t, %v; want %t", tt.prefix, known, err, tt.known)
			}
		}
		w.expectBanned("forgotten", "198.51.100.2/32")
		w.end(d)
		w.told = nil
		d = w.start()
		defer w.end(d)
		w.attack("192.0.2.200", 1)
		w.attack("198.51.100.1", 1)
		w.expect("who was not forgotten", "ban 192.0.2.200/32 offence 1", "ban 198.51.100.1/32 offence 1")
		w.attack("192.0.2.1", 2)
		w.expect("who was")
		w.attack("192.0.2.1", 1)
		w.expect("three new attempts", "ban 192.0.2.1/32 offence 1")
	})
}

// The attempts of an IPv6 network count together, so forgetting an address forgets the network.
func TestForgetIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("2001:db8::1", 2)
		if known, err := d.ForgetAddress(t.Context(), "", netip.MustParsePrefix("2001:db8::7/128")); !known || err != nil {
			t.Errorf("ForgetAddress: %t, %v", known, err)
		}
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.attack("2001:db8::1", 1)
		w.expectBanned("first attempt since")
	})
}
