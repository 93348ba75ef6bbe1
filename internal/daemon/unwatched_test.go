package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
	"exile/jail"
	"exile/journal"
)

// unwatchedWorld is a world whose jail sshd watches units, beside which others run.
func unwatchedWorld(t *testing.T, units ...string) (*world, *atomic.Pointer[[]control.Program]) {
	w := newWorld(t)
	running := new(atomic.Pointer[[]control.Program])
	running.Store(new([]control.Program))
	w.service = "sshd"
	w.change = func(p *daemon.Plan) {
		j := p.Jails[0]
		j.Info.Units, j.Talks = units, true
		j.Accepts = func(e *journal.Entry) bool { return jail.Trusted(e, units, []string{"sshd"}, false) }
		j.Unwatched = func(e *journal.Entry) string { return jail.Elsewhere(e, units, []string{"sshd"}) }
		p.Service = func(context.Context, []string) (control.Service, error) { return control.Service{Exists: true}, nil }
		p.Services = func(context.Context) ([]control.Program, error) {
			if list := running.Load(); list != nil {
				return *list, nil
			}
			return nil, errors.New("no bus")
		}
	}
	return w, running
}

// from is a guess that a unit logged.
func (w *world) from(unit, addr string) journal.Entry {
	e := w.guess(addr)
	e.Unit, e.Transport = unit, "syslog"
	return e
}

// TestUnwatchedLines: lines of a copied unit, with only the identifier of sshd, are reported together with what would watch it: for a day after
// the last line, or until it is watched, however many units there are.
func TestUnwatchedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := unwatchedWorld(t, "ssh.service")
		d := w.start()
		defer w.end(d)
		w.source.live <- []journal.Entry{w.from("ssh.service", "192.0.2.1")}
		w.expect("a watched unit")
		for range 100 {
			w.source.live <- []journal.Entry{w.from("sshd-second.service", "192.0.2.1")}
		}
		w.expect("another one", "degraded unwatched:sshd-second.service")
		if got := w.remedy("unwatched:sshd-second.service"); !strings.Contains(got, "jails: {sshd: {units: [ssh.service, sshd-second.service]}}") {
			t.Errorf("remedy %q", got)
		}
		w.source.live <- []journal.Entry{w.from("two@3-192.0.2.1:22-198.51.100.7:4000.service", "198.51.100.7")}
		w.expect("an instance", "degraded unwatched:two@*.service")
		time.Sleep(23 * time.Hour)
		w.source.live <- []journal.Entry{w.from("sshd-second.service", "192.0.2.1")}
		time.Sleep(2 * time.Hour)
		w.expect("a day later", "recovered unwatched:two@*.service")
		for i := range 20 {
			w.source.live <- []journal.Entry{w.from(fmt.Sprintf("u%02d.service", i), "192.0.2.1")}
		}
		synctest.Wait()
		if s, err := d.Status(t.Context()); err != nil || len(s.Degraded) != 8 {
			t.Errorf("%v, %d reasons: %q", err, len(s.Degraded), s.Degraded)
		}
		w.told = nil
		w2, _ := unwatchedWorld(t, "ssh.service", "sshd-second.service", "u*.service")
		w.change = w2.change
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s, err := d.Status(t.Context()); err != nil || len(s.Degraded) != 0 {
			t.Errorf("watched: %v, %q", err, s.Degraded)
		}
	})
}

// TestUnwatchedServices: a running sshd that no jail watches is reported until it has ended, whether or not it logs into a journal that is
// read.
func TestUnwatchedServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, running := unwatchedWorld(t, "ssh.service", "ssh@*.service")
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second)
		running.Store(&[]control.Program{{Unit: "ssh.service"}, {Unit: "ssh@1-a.service"}, {Unit: "sshd-second.service"}, {Unit: "sshd-third.service", Namespace: "apart"}})
		time.Sleep(2 * time.Minute)
		w.expect("two others", "degraded unwatched:sshd-second.service", "degraded unwatched:sshd-third.service")
		if got := w.remedy("unwatched:sshd-second.service"); strings.Contains(got, "LogNamespace") {
			t.Errorf("remedy %q", got)
		}
		if got := w.remedy("unwatched:sshd-third.service"); !strings.Contains(got, `namespace "apart"`) || !strings.Contains(got, "sshd-third.service runs") {
			t.Errorf("remedy %q", got)
		}
		w.source.live <- []journal.Entry{w.from("sshd-second.service", "192.0.2.1")}
		running.Store(nil) // says nothing
		time.Sleep(2 * time.Minute)
		w.expect("nobody to ask")
		running.Store(&[]control.Program{{Unit: "sshd-third.service", Namespace: "apart"}})
		time.Sleep(2 * time.Minute)
		w.expect("one has ended", "recovered unwatched:sshd-second.service")
	})
}

// TestBlindByNamespace: if the unit logs into its own namespace, the remedy names that.
func TestBlindByNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service{is: control.Service{Exists: true, Namespace: "apart"}}
		w := watched(t, &s)
		d := w.start()
		defer w.end(d)
		for range 7 {
			time.Sleep(time.Minute)
			s.turns(func(is *control.Service) { is.Worked += time.Second }, nil)
		}
		w.expect("silence", "degraded blind:sshd")
		if got := w.remedy("blind:sshd"); !strings.Contains(got, `journal namespace "apart"`) || strings.Contains(got, "LogLevel") {
			t.Errorf("remedy %q", got)
		}
	})
}

// TestUnknownAddress: failures with UNKNOWN in place of an address are reported.
func TestUnknownAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service{is: control.Service{Exists: true}}
		w := watched(t, &s)
		d := w.start()
		defer w.end(d)
		time.Sleep(90 * time.Second)
		w.source.live <- []journal.Entry{w.guess("UNKNOWN")}
		time.Sleep(time.Minute)
		w.expect("nowhere", "degraded address-unknown:sshd")
		if got := w.remedy("address-unknown:sshd"); !strings.Contains(got, "UNKNOWN") {
			t.Errorf("remedy %q", got)
		}
		time.Sleep(11 * time.Minute)
		w.expect("over", "recovered address-unknown:sshd")
	})
}

// TestReadAgain: what is read at the start, or again after a reload, says nothing about what the service does now.
func TestReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service{is: control.Service{Exists: true, LogLines: 20}}
		w := watched(t, &s)
		w.before("UNKNOWN", 100)
		w.source.rest = time.Second
		d := w.start()
		defer w.end(d)
		w.pass(5 * time.Minute)
		w.expect("start")
		if err := d.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		w.pass(5 * time.Minute)
		w.expect("reloaded", "reloaded ")
	})
}

// TestNearTheLimit: a service that logs half of what the journal takes is reported before lines are dropped, but not if each connection is an
// instance with its own limit, or if there is no limit.
func TestNearTheLimit(t *testing.T) {
	for name, c := range map[string]struct {
		limit, accepted uint64
		told            []string
	}{
		"half of it":    {200, 0, []string{"degraded journal-near-limit:sshd"}},
		"less":          {300, 0, nil},
		"no limit":      {0, 0, nil},
		"instances":     {200, 1, nil},
		"more than all": {50, 0, []string{"degraded journal-near-limit:sshd"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := service{is: control.Service{Exists: true, LogLines: c.limit, Accepted: c.accepted}}
				w := watched(t, &s)
				d := w.start()
				defer w.end(d)
				time.Sleep(90 * time.Second)
				for range 100 {
					w.source.live <- []journal.Entry{w.guess("UNKNOWN")}
				}
				w.forget()
				time.Sleep(time.Minute)
				w.expect("a minute later", append([]string{"degraded address-unknown:sshd"}, c.told...)...)
			})
		})
	}
}
