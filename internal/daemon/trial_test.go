package daemon_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
)

// trial is a world where the files say maxretry 3 and the text on trial says 1.
func trial(t *testing.T) *world {
	w := newWorld(t)
	w.onTrial = func() []*daemon.Jail { return []*daemon.Jail{w.jailOf("sshd", nil, 1)} }
	return w
}

func (w *world) try(d *running, length time.Duration) {
	w.t.Helper()
	if err := d.Try(w.t.Context(), "maxretry: 1", length); err != nil {
		w.t.Fatal(err)
	}
	w.told = slices.DeleteFunc(w.told, func(s string) bool { return s == "reloaded " })
	w.hand()
}

// expectTrial checks what the daemon says of a trial.
func (w *world) expectTrial(what string, d *running, left time.Duration) {
	w.t.Helper()
	got, err := d.Trial(w.t.Context())
	s, err2 := d.Status(w.t.Context())
	if err := errors.Join(err, err2); err != nil {
		w.t.Fatal(err)
	}
	if left == 0 && got.Text == "" && s.TrialTo.IsZero() {
		return
	}
	if got.Text != "maxretry: 1" || !s.TrialTo.Equal(got.Until) || time.Until(got.Until) != left {
		w.t.Errorf("%s: %q is on trial for %s, want another %s", what, got.Text, time.Until(got.Until), left)
	}
}

// A trial that is not confirmed ends by itself. The bans that it made end with it, and do not count.
// Bans from before and by hand stay.
func TestTrialIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := trial(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.9", 3)
		w.try(d, time.Minute)
		w.expectTrial("begun", d, time.Minute)
		w.attack("192.0.2.1", 1) // the admin, who cannot confirm it now
		byHand(w, d, "192.0.2.5/32")
		w.expectBanned("on trial", "192.0.2.1/32", "192.0.2.5/32", "192.0.2.9/32")
		time.Sleep(time.Minute)
		w.expectBanned("taken back", "192.0.2.5/32", "192.0.2.9/32")
		w.expectTrial("taken back", d, 0)
		w.forget()
		w.attack("192.0.2.1", 2)
		w.expectBanned("two guesses of three", "192.0.2.5/32", "192.0.2.9/32")
		w.attack("192.0.2.1", 1)
		w.expect("three guesses", "ban 192.0.2.1/32 offence 1")
	})
}

// Reading the files anew, which the confirmed text is written to, ends a trial and keeps its bans.
func TestTrialIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := trial(t)
		d := w.start()
		defer w.end(d)
		w.try(d, time.Minute)
		w.attack("192.0.2.1", 1)
		w.jails = w.onTrial
		w.hand()
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		w.expectTrial("confirmed", d, 0)
		w.expectBanned("confirmed", "192.0.2.1/32")
		w.attack("192.0.2.2", 1)
		w.expectBanned("still in force", "192.0.2.1/32", "192.0.2.2/32")
	})
}

// A second trial before the end of the first goes back to the files, too: both are taken back.
func TestTrialOverTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := trial(t)
		d := w.start()
		defer w.end(d)
		w.try(d, time.Minute)
		w.attack("192.0.2.1", 1)
		w.try(d, time.Hour)
		w.expectTrial("longer", d, time.Hour)
		time.Sleep(time.Hour)
		w.expectBanned("taken back")
	})
}

// A trial continues after a restart, orderly or not, and ends in time, even if no daemon runs at the end.
func TestTrialSurvivesRestart(t *testing.T) {
	for name, away := range map[string]time.Duration{"meanwhile": 0, "at the end": 2 * time.Minute} {
		for _, killed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := trial(t)
					f := fuse{step: "never"}
					w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, &f} }
					d := w.start()
					w.try(d, time.Minute)
					w.attack("192.0.2.1", 1)
					f.dead.Store(killed)
					w.hand()
					if err := d.stop(); err != nil && !killed {
						t.Error(err)
					}
					w.store = func(s daemon.Store) daemon.Store { return s }
					time.Sleep(away)
					d = w.start()
					if away == 0 {
						w.expectTrial("restarted", d, 59*time.Second)
						w.attack("192.0.2.2", 1)
						w.expectBanned("restarted", "192.0.2.1/32", "192.0.2.2/32")
						time.Sleep(59 * time.Second)
					}
					w.expectBanned("taken back")
					w.expectTrial("taken back", d, 0)
					w.end(d)
					d = w.start() // and it does not come back
					defer w.end(d)
					w.expectTrial("restarted again", d, 0)
					w.attack("192.0.2.3", 2)
					w.expectBanned("two guesses of three")
				})
			})
		}
	}
}

// A bad text is not put in force, and a trial whose text fails after a restart is over.
func TestBadTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := trial(t)
		bad := true
		w.refuse = func(text string) bool { return bad && text != "" }
		d := w.start()
		for _, tt := range []struct {
			text   string
			length time.Duration
			want   error
		}{
			{"maxretry: 1", time.Minute, control.ErrConfig},
			{"", time.Minute, control.ErrInvalid},
			{"maxretry: 1", 0, control.ErrInvalid},
			{"maxretry: 1", 25 * time.Hour, control.ErrInvalid},
		} {
			if err := control.Checked(d).Try(t.Context(), tt.text, tt.length); !errors.Is(err, tt.want) {
				t.Errorf("Try(%q, %s): %v, want %v", tt.text, tt.length, err, tt.want)
			}
		}
		w.attack("192.0.2.1", 2)
		w.expectBanned("two guesses of three")
		bad = false
		w.hand()
		w.try(d, time.Minute)
		w.end(d)
		bad = true
		d = w.start()
		defer w.end(d)
		w.expectTrial("fails after a restart", d, 0)
	})
}

// If the files are bad when a trial ends, the trial continues, the daemon says so, and it ends once they are corrected.
func TestTrialIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := trial(t)
		d := w.start()
		defer w.end(d)
		w.try(d, time.Minute)
		bad := true
		w.refuse = func(text string) bool { return bad && text == "" }
		w.hand()
		time.Sleep(time.Minute)
		w.expect("the files are bad", "degraded trial-stuck")
		w.attack("192.0.2.1", 1)
		w.expectBanned("goes on", "192.0.2.1/32")
		bad = false
		w.hand()
		time.Sleep(time.Minute)
		w.expectBanned("the files are mended")
		w.expectTrial("the files are mended", d, 0)
		if !slices.Contains(w.told, "recovered trial-stuck") {
			t.Errorf("told %q", w.told)
		}
	})
}

func byHand(w *world, d *running, prefix string) {
	w.t.Helper()
	if _, err := d.Ban(w.t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix(prefix), Duration: 24 * time.Hour}); err != nil {
		w.t.Fatal(err)
	}
}
