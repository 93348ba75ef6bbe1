package daemon_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"exile/firewall"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
)

// report lets another daemon see a guess from an address, and waits until that is on disk.
func (w *world) report(addr string) {
	w.t.Helper()
	if err := w.d.Report(w.t.Context(), control.Report{Addr: netip.MustParseAddr(addr), User: "root"}); err != nil {
		w.t.Errorf("Report: %v", err)
	}
	w.pass(time.Second)
}

// again has the daemon read its log again: by a restart, in order or after SIGKILL, or for another configuration.
func (w *world) again(how string) {
	w.t.Helper()
	f := w.fuse
	switch how {
	case "reload":
		w.hand()
		if err := w.d.Reload(w.t.Context()); err != nil {
			w.t.Error(err)
		}
		w.pass(time.Second)
		w.forget()
		return
	case "killed":
		w.hand()
		f.dead.Store(true)
	}
	if err := w.d.stop(); err != nil && how != "killed" {
		w.t.Error(err)
	}
	w.told = nil
	f.dead.Store(false)
	w.start()
}

// Of the guesses that ban, some are in the log and the others were reported. Each counts once, whenever the log is read
// again.
func TestReportsCountOnce(t *testing.T) {
	kinds := map[string]struct {
		jail func(w *world) *daemon.Jail
		most int
	}{
		"threshold": {func(w *world) *daemon.Jail { return w.jail("sshd", nil) }, 3},
		"adaptive":  {(*world).adaptive, 5},
	}
	for kind, k := range kinds {
		for _, how := range []string{"stopped", "killed", "reload"} {
			for first := range 2 {
				t.Run(fmt.Sprintf("%s %s %d", kind, how, first), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						w.jails = func() []*daemon.Jail { return []*daemon.Jail{k.jail(w)} }
						w.fuse = &fuse{step: "never"}
						w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, w.fuse} }
						w.start()
						for i := range k.most - 1 {
							if i%2 == first {
								w.report("192.0.2.1")
							} else {
								w.attack("192.0.2.1", 1)
								w.pass(time.Second) // the position is written lazily
							}
							w.again(how)
							w.expect(fmt.Sprintf("after guess %d", i+1))
						}
						w.report("192.0.2.1")
						w.expect("the last guess", "ban 192.0.2.1/32 offence 1")
						w.again(how)
						w.pass(2 * time.Hour) // the ban ends, and nothing begins anew
						w.end(w.d)
						if n := w.outcome().Past["192.0.2.1/32"]; n > 1 {
							t.Errorf("%d offences of one", n)
						}
					})
				})
			}
		}
	}
}

// What was logged while nobody ran bans together with what was reported before.
func TestReportsBeforeEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fuse = &fuse{step: "never"}
		w.start()
		w.report("192.0.2.1")
		w.source.past = append(w.source.past, w.guess("192.0.2.1"), w.guess("192.0.2.1"))
		w.again("stopped")
		w.expect("restarted", "ban 192.0.2.1/32 offence 1")
		w.end(w.d)
	})
}

// A report that was pardoned, or is too old, does not count again after a restart.
func TestReportsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fuse = &fuse{step: "never"}
		w.start()
		w.report("192.0.2.1")
		w.report("192.0.2.1")
		w.report("192.0.2.2")
		w.report("192.0.2.2")
		if _, err := w.d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32")); err != nil {
			t.Error(err)
		}
		w.wrong = -time.Minute // what was logged meanwhile is new, and before the reports
		w.source.past = append(w.source.past, w.guess("192.0.2.9"))
		w.again("stopped")
		w.pass(time.Second)
		w.report("192.0.2.1")
		w.report("192.0.2.1")
		w.expect("two guesses since the pardon")
		w.pass(11 * time.Minute) // findtime is ten
		w.again("stopped")
		w.report("192.0.2.2")
		w.expect("two guesses that are too old, and one")
		w.pass(time.Hour)
		w.report("192.0.2.3")
		w.end(w.d)
		if kept := w.reports(); len(kept) != 1 {
			t.Errorf("on disk are %v, want the last only", kept)
		}
	})
}

// reports are those on disk.
func (w *world) reports() map[uint64]state.Report {
	w.t.Helper()
	store, err := state.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	contents, err := store.Load()
	if err != nil {
		w.t.Fatal(err)
	}
	return contents.Reports
}

// A report of a service's port counts for the jail that closes it, and otherwise for the first jail.
func TestReportOfPort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail {
			sshd, mail := w.jail("sshd", nil), w.jail("mail", nil)
			mail.Ports = []firewall.Port{{Proto: 6, Number: 110}}
			return []*daemon.Jail{sshd, mail}
		}
		w.start()
		for _, port := range []uint16{110, 25} {
			if err := w.d.Report(t.Context(), control.Report{Port: port, Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(port)})}); err != nil {
				t.Error(err)
			}
		}
		w.pass(time.Second)
		for jail, want := range map[string]string{"mail": "192.0.2.110/32", "sshd": "192.0.2.25/32"} {
			hosts, _, err := w.d.Hosts(t.Context(), control.Page{Jail: jail})
			if err != nil || len(hosts) != 1 || hosts[0].Prefix.String() != want {
				t.Errorf("jail %s counts %v (%v), want %s", jail, hosts, err, want)
			}
		}
		w.end(w.d)
	})
}
