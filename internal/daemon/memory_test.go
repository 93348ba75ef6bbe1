package daemon_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/banning"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
	"exile/jail"
	"exile/jail/adaptive"
	"exile/jail/filter"
	"exile/journal"
)

// adaptive is a jail whose memory is a month, on a world whose log is read again no further than it must be.
func (w *world) adaptive() *daemon.Jail {
	w.t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	d := adaptive.New(adaptive.Default())
	cfg := jail.Config{
		Name: "sshd", Detection: jail.Adaptive, MaxRetry: 5, FindTime: 24 * time.Hour, BanTime: time.Hour,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000,
	}
	j, err := jail.New(cfg, f, nil, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return &daemon.Jail{
		Jail: banning.Jail{Jail: j, Name: "sshd", Remember: 24 * time.Hour}, Memory: d, Info: control.JailStatus{Name: "sshd"},
		Accepts: func(*journal.Entry) bool { return true }, LookBack: 30 * 24 * time.Hour, Connections: 6 * time.Minute, Origin: control.OriginJournal,
	}
}

// Guesses before the snapshot, after it, and after a restart, orderly or not, are five together: the ban comes at the
// fifth, and for the same reason as without a restart.
func TestMemoryAndLogAreOne(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %t", killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.adaptive()} }
				f := fuse{step: "never"}
				w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, &f} }
				d := w.start()
				w.attack("192.0.2.1", 2)
				time.Sleep(20 * time.Minute) // a snapshot is due with the next entry
				w.attack("192.0.2.1", 1)
				time.Sleep(2 * time.Second)
				w.attack("192.0.2.1", 1)
				f.dead.Store(killed)
				w.hand()
				if err := d.stop(); err != nil && !killed {
					t.Error(err)
				}
				w.told = nil
				w.store = func(s daemon.Store) daemon.Store { return s }
				w.source.past = w.source.past[2:] // the journal has forgotten what is in the snapshot
				d = w.start()
				defer w.end(d)
				w.expect("restarted")
				w.attack("192.0.2.1", 1)
				w.expect("the fifth guess", "ban 192.0.2.1/32 offence 1")
			})
		})
	}
}

// tornStore loses a part of every snapshot.
type tornStore struct{ daemon.Store }

func (s tornStore) Load() (state.Contents, error) {
	c, err := s.Store.Load()
	for name, snapshot := range c.Snapshots {
		snapshot.Data = snapshot.Data[:len(snapshot.Data)-3]
		c.Snapshots[name] = snapshot
	}
	return c, err
}

// A memory that cannot be used is rebuilt from the journal, as far as that goes.
func TestTornMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.adaptive()} }
		d := w.start()
		w.attack("192.0.2.1", 2)
		time.Sleep(20 * 24 * time.Hour)
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 5)
		w.expect("before", "ban 192.0.2.2/32 offence 1")
		w.end(d)
		w.store = func(s daemon.Store) daemon.Store { return tornStore{s} }
		d = w.start()
		defer w.end(d)
		w.expect("restarted")
		w.attack("192.0.2.1", 2)
		w.expect("five in a day", "ban 192.0.2.1/32 offence 1")
		time.Sleep(time.Hour)
		w.forget()
		w.attack("192.0.2.2", 5)
		w.expect("again", "ban 192.0.2.2/32 offence 2")
	})
}

// A ban that came after the last snapshot still is an offence after a crash.
func TestBanBehindTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.adaptive()} }
		f := fuse{step: "never"}
		w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, &f} }
		d := w.start()
		w.attack("192.0.2.1", 1)
		time.Sleep(20 * time.Minute) // a snapshot is due with the next entry
		w.attack("192.0.2.1", 1)
		time.Sleep(2 * time.Second)
		w.attack("192.0.2.2", 5)
		w.expect("before", "ban 192.0.2.2/32 offence 1")
		f.dead.Store(true) // what is not on disk now is lost
		w.hand()
		_ = d.stop() // the disk is dead
		w.told = nil
		w.store = func(s daemon.Store) daemon.Store { return s }
		d = w.start()
		defer w.end(d)
		w.expect("it is banned")
		time.Sleep(time.Hour)
		w.forget()
		w.attack("192.0.2.2", 5)
		w.expect("again", "ban 192.0.2.2/32 offence 2")
	})
}

// A first start reads the past month before it is up to date, and says how far it is. Names and owners are known at once, and addresses whose
// bans would still run are banned, with their offences.
func TestFirstStartLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := learner(t)
		said := make(map[string]bool)
		w.notify = func(s string) {
			if strings.HasPrefix(s, "STATUS=") {
				said[s] = true
			}
		}
		invalid := func(addr string) journal.Entry {
			e := w.guess(addr)
			e.Message = []byte("Invalid user oracle from " + addr + " port 4000")
			return e
		}
		for i := range 10 { // a day, and 100 s from one to the next
			w.source.past = append(w.source.past, invalid(fmt.Sprintf("192.%d.2.1", i)))
			for range 20 {
				w.source.past = append(w.source.past, w.guess("198.51.100.1"))
			}
			time.Sleep(24 * time.Hour)
		}
		w.source.rest = time.Second
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Until(time.Date(2000, 1, 11, 0, 1, 0, 0, time.UTC)))
		if s := w.status(); s.State != "catching-up" {
			t.Errorf("after a minute of 210 s the state is %s", s.State)
		}
		const status = "STATUS=Catching-up: 1 jail, 0 bans, backend fake; journal read to 2000-01-03 00:00 (19 %)"
		w.hand() // said is the loop's
		if !said[status] {
			t.Errorf("said %q, want among it %q", slices.Collect(maps.Keys(said)), status)
		}
		w.hand()
		time.Sleep(time.Hour)
		if s := w.status(); s.State != "running" || s.Bans == 0 {
			t.Errorf("when it is read the state is %s, with %d bans", s.State, s.Bans)
		}
		if diff := cmp.Diff([]string{"sshd oracle"}, w.names()); diff != "" {
			t.Errorf("names (-want +got)\n%s", diff)
		}
		w.forget()
		w.tries("oracle", "203.0.113.9")
		w.expect("a stranger", "ban 203.0.113.9/32 offence 1")
		w.expectBanned("a month in a minute",
			"192.3.2.1/32", "192.4.2.1/32", "192.5.2.1/32", "192.6.2.1/32", "192.7.2.1/32", "192.8.2.1/32", "192.9.2.1/32", "198.51.100.1/32",
			"203.0.113.9/32")
	})
}

// A reload keeps the memory of a jail that stays.
func TestReloadKeepsTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.adaptive()} }
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 4)
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect("reloaded", "reloaded ")
		w.attack("192.0.2.1", 1)
		w.expect("the fifth guess", "ban 192.0.2.1/32 offence 1")
	})
}

// The answer about an address has what the detector knows about it.
func TestAddressIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			j := w.adaptive()
			j.Explain = j.Memory.(*adaptive.Detector).Explain
			return []*daemon.Jail{j}
		}
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 2)
		a, err := d.Address(t.Context(), netip.MustParsePrefix("192.0.2.1/32"))
		if err != nil || len(a.Detail) == 0 || a.Failures["sshd"] != 2 {
			t.Errorf("Address: %+v, %v; want 2 failures and what they weigh", a, err)
		}
	})
}
