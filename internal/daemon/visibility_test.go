package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
	"exile/journal"
)

// service is what the daemon finds when it looks.
type service struct {
	mu     sync.Mutex // it looks from a goroutine of its own
	is     control.Service
	failed error
}

// turns lets the service, or the looking, become another.
func (s *service) turns(f func(is *control.Service), failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.is)
	s.failed = failed
}

// watched is a world in which the service of the jail sshd does what the test says.
func watched(t *testing.T, s *service) *world {
	w := newWorld(t)
	w.change = func(p *daemon.Plan) {
		p.Jails[0].Watched, p.Jails[0].Talks = []string{"ssh.service", "ssh@*.service"}, true
		p.Service = func(context.Context, []string) (control.Service, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.is, s.failed
		}
	}
	return w
}

// public checks that everybody can see all the reasons, and none of the words: neither in the status nor in what systemctl status shows.
func (w *world) public(reasons []string, words ...string) {
	w.t.Helper()
	s, err := w.d.Status(context.Background())
	shown := s.Public()
	if err != nil || !slices.Equal(shown.Degraded, reasons) {
		w.t.Errorf("everybody sees %q, %v; want %q", shown.Degraded, err, reasons)
	}
	for i, reason := range shown.Degraded {
		if shown.Remedies[i] == "" || !strings.Contains(w.line, "; "+reason+": "+shown.Remedies[i]) {
			w.t.Errorf("%q, want in it %s: %q", w.line, reason, shown.Remedies[i])
		}
	}
	for _, word := range words {
		if said := strings.Join(shown.Remedies, " "); strings.Contains(said, word) || strings.Contains(w.line, word) {
			w.t.Errorf("everybody sees %q in %q and %q", word, said, w.line)
		}
	}
	w.hand()
}

// remedy is what the status says about a reason.
func (w *world) remedy(reason string) string {
	w.t.Helper()
	s, err := w.d.Status(context.Background())
	if err != nil {
		w.t.Error(err)
	}
	for i, r := range s.Degraded {
		if r == reason {
			return s.Remedies[i]
		}
	}
	return ""
}

func TestNoUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s service
		w := watched(t, &s)
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second) // between the looks
		w.expect("start", "degraded no-unit:sshd")
		if got := w.remedy("no-unit:sshd"); !strings.Contains(got, "ssh.service ssh@*.service") || !strings.Contains(got, "units:") {
			t.Errorf("remedy %q", got)
		}
		s.turns(func(*control.Service) {}, errors.New("no bus")) // says nothing about the unit
		time.Sleep(2 * time.Minute)
		w.expect("nobody to ask")
		s.turns(func(is *control.Service) { is.Exists = true }, nil)
		time.Sleep(time.Minute)
		w.expect("installed", "recovered no-unit:sshd")
	})
}

// TestForgottenJail: a reason about a jail ends with the jail, and not before.
func TestForgottenJail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watched(t, new(service))
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second) // between the looks
		w.expect("start", "degraded no-unit:sshd")
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect("reload", "reloaded ")
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("other", nil)} }
		w.change = func(*daemon.Plan) {}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect("reload without it", "recovered no-unit:sshd", "reloaded ")
	})
}

// TestBlind: a jail is blind if its service works and logs nothing.
func TestBlind(t *testing.T) {
	for name, work := range map[string]func(*control.Service){
		"a daemon": func(s *control.Service) { s.Worked += 200 * time.Millisecond },
		"a socket": func(s *control.Service) { s.Accepted++ },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := service{is: control.Service{Exists: true, Worked: time.Hour, Accepted: 1000}}
				w := watched(t, &s)
				d := w.start()
				defer w.end(d)
				time.Sleep(time.Second) // between the looks
				time.Sleep(time.Hour)
				w.expect("an idle service says nothing")
				for range 3 {
					s.turns(work, nil)
					time.Sleep(time.Minute)
				}
				w.source.live <- []journal.Entry{w.guess("192.0.2.1")}
				time.Sleep(2 * time.Minute)
				w.expect("it said something")
				for range 4 {
					s.turns(work, nil)
					time.Sleep(time.Minute)
				}
				w.expect("four minutes of silence are a slow client")
				time.Sleep(5 * time.Minute)
				w.expect("silence", "degraded blind:sshd")
				if got := w.remedy("blind:sshd"); !strings.Contains(got, "LogLevel") || !strings.Contains(got, "journalctl -u ssh.service") {
					t.Errorf("remedy %q", got)
				}
				w.source.live <- []journal.Entry{w.guess("192.0.2.1")}
				time.Sleep(time.Minute)
				w.expect("it is heard again", "recovered blind:sshd")
				s.turns(func(is *control.Service) { is.Worked, is.Accepted = 0, 0 }, nil) // started anew
				time.Sleep(time.Minute)
				s.turns(func(is *control.Service) { is.Worked, is.Accepted = time.Minute, 100 }, nil)
				time.Sleep(4 * time.Minute)
				w.expect("a new start is a new beginning")
			})
		})
	}
}

// TestHiddenFailures: sshd itself refuses attackers before they have failed often enough for a ban.
func TestHiddenFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service{is: control.Service{Exists: true}}
		w := watched(t, &s)
		d := w.start()
		defer w.end(d)
		time.Sleep(time.Second) // between the looks
		drop := func(times int) {
			for range times {
				e := w.guess("192.0.2.1")
				e.Message = []byte("drop connection #0 from [192.0.2.1]:5 on [203.0.113.1]:22 penalty: failed authentication")
				w.source.live <- []journal.Entry{e}
			}
			time.Sleep(time.Minute)
		}
		drop(2)
		drop(2)
		w.expect("now and then")
		drop(3)
		w.expect("often", "degraded failures-hidden:sshd")
		if got := w.remedy("failures-hidden:sshd"); !strings.Contains(got, "mode: ddos") || !strings.Contains(got, "PerSourcePenalties") {
			t.Errorf("remedy %q", got)
		}
		time.Sleep(20 * time.Minute)
		w.expect("over", "recovered failures-hidden:sshd")
	})
}

// undatedLog is a text log with lines whose time cannot be read.
type undatedLog struct{}

func (undatedLog) Follow(ctx context.Context, _ journal.Start, emit func(journal.Batch) error) error {
	for range 2 {
		if err := emit(journal.Batch{Undated: 3, CaughtUp: true}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// half is a source that can only read a part of the log.
type half struct{ trouble chan error }

func (h half) Follow(ctx context.Context, _ journal.Start, emit func(journal.Batch) error) error {
	for {
		select {
		case err := <-h.trouble:
			if err := emit(journal.Batch{CaughtUp: true, Trouble: err}); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// TestUnreadableLog: a log that cannot be read degrades the daemon as long as that lasts, with a remedy, whatever other logs do.
func TestUnreadableLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		one, other := half{make(chan error)}, half{make(chan error)}
		w.change = func(p *daemon.Plan) {
			p.Sources = []daemon.Source{{Name: "one", Source: one, Jails: p.Jails}, {Name: "other", Source: other, Jails: p.Jails}}
		}
		d := w.start()
		defer w.end(d)
		denied := errors.New("permission denied; run systemd-tmpfiles")
		one.trouble <- nil
		other.trouble <- denied
		time.Sleep(time.Hour)
		one.trouble <- nil
		time.Sleep(time.Hour)
		w.expect("one of two", "degraded source-failed")
		if got := w.remedy("source-failed"); !strings.Contains(got, "other: permission denied; run systemd-tmpfiles") {
			t.Errorf("remedy %q", got)
		}
		other.trouble <- nil
		time.Sleep(time.Second)
		w.expect("both", "recovered source-failed")
	})
}

// TestUndatedLines: lines whose time cannot be read are counted.
func TestUndatedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.change = func(p *daemon.Plan) { p.Sources[0].Source = undatedLog{} }
		d := w.start()
		defer w.end(d)
		synctest.Wait()
		if s, err := d.Status(t.Context()); err != nil || s.Undated != 6 || s.State != "running" {
			t.Errorf("status %+v, %v; want 6 undated lines", s, err)
		}
	})
}

// Lost entries degrade the daemon for ten minutes, with a remedy, and are counted.
func TestGaps(t *testing.T) {
	for kind, c := range map[journal.GapKind]struct {
		reason, remedy                string
		gaps, suppressed, unreadables uint64
	}{
		journal.GapSuppressed: {"journal-suppressed", "LogRateLimitBurst=1000000", 2, 4711 + 1, 0}, // one did not say how many
		journal.GapUnreadable: {"journal-gap", "journalctl --verify", 2, 0, 2},
		journal.GapVacuumed:   {"journal-gap", "journalctl --verify", 2, 0, 0},
	} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var status string
				w.notify = func(s string) { status = s }
				d := w.start()
				defer w.end(d)
				w.forget()
				w.source.gaps <- journal.Gap{Kind: kind, Unit: "ssh.service", Entries: 4711}
				w.source.gaps <- journal.Gap{Kind: kind, Unit: "ssh.service"}
				w.expect("gaps", "degraded "+c.reason)
				s, err := d.Status(t.Context())
				if err != nil || s.State != "degraded" || s.Gaps != c.gaps || s.Suppressed != c.suppressed || s.Skipped != c.unreadables {
					t.Errorf("status %+v, %v", s, err)
				}
				time.Sleep(5 * time.Second) // STATUS= is renewed
				w.hand()
				for where, said := range map[string]string{"the status": w.remedy(c.reason), "STATUS=": status} {
					if !strings.Contains(said, c.remedy) {
						t.Errorf("%s says %q, which does not help", where, said)
					}
				}
				w.hand()
				time.Sleep(10 * time.Minute)
				w.expect("later", "recovered "+c.reason)
			})
		})
	}
}
