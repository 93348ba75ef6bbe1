package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/control"
	"exile/internal/daemon"
)

// mistaken is a world whose files are bad until good is true. The fallback says maxretry 2, a trial 1.
func mistaken(t *testing.T) (w *world, good *bool) {
	w, good = newWorld(t), new(bool)
	w.refuse = func(trial string) bool { return trial == "" && !*good }
	w.onTrial = func() []*daemon.Jail { return []*daemon.Jail{w.jailOf("sshd", nil, 1)} }
	w.fallback = func(context.Context) (*daemon.Plan, string, error) {
		return w.plan([]*daemon.Jail{w.jailOf("sshd", nil, 2)}), "what worked before", nil
	}
	return w, good
}

// A start with bad files uses the fallback: it bans, says what is wrong as long as it is, and switches to the files as soon as they are
// good.
func TestFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, good := mistaken(t)
		var status string
		w.notify = func(s string) {
			if strings.HasPrefix(s, "STATUS=") {
				status = s
			}
		}
		d := w.start()
		defer w.end(d)
		w.expect("start", "degraded config-invalid")
		for where, said := range map[string]string{"remedy": w.remedy("config-invalid"), "STATUS=": status} {
			if !strings.Contains(said, "maxretyr is no key") || !strings.Contains(said, "in force is what worked before") {
				t.Errorf("%s: %q", where, said)
			}
		}
		w.attack("192.0.2.1", 2)
		w.expect("two guesses", "ban 192.0.2.1/32 offence 1")
		if err := d.Reload(t.Context()); !errors.Is(err, control.ErrConfig) {
			t.Errorf("reload of bad files: %v", err)
		}
		w.pass(time.Hour - time.Minute)
		w.expect("an hour later")
		w.mistake = "another"
		w.hand()
		w.pass(10 * time.Second)
		if said := w.remedy("config-invalid"); !strings.Contains(said, "another") {
			t.Errorf("another mistake: %q", said)
		}
		w.expect("another mistake is no other reason")
		*good = true
		w.hand()
		w.pass(10 * time.Second)
		w.expect("good files", "recovered config-invalid", "reloaded ")
		w.expectBanned("bans stay", "192.0.2.1/32")
		w.attack("192.0.2.2", 2)
		w.expect("two of three guesses")
	})
}

// A reload puts good files in force at once. A trial is not ended and not taken for the files.
func TestFallbackAndTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, good := mistaken(t)
		d := w.start()
		defer func() { w.end(d) }()
		w.try(d, time.Minute)
		*good = true
		w.forget()
		w.pass(59 * time.Second)
		w.expect("on trial")
		w.expectTrial("on trial", d, time.Second)
		w.pass(time.Second)
		w.expect("its end", "recovered config-invalid", "reloaded ")

		*good = false
		w.end(d)
		d = w.start()
		*good = true
		w.forget()
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect("reloaded", "recovered config-invalid", "reloaded ")
	})
}

// A ban of a jail that only the files have survives a mistake in them.
func TestFallbackShelters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, good := mistaken(t)
		packaged := w.fallback
		w.fallback = func(ctx context.Context) (*daemon.Plan, string, error) {
			plan, which, err := packaged(ctx)
			plan.Shelter = true
			return plan, which, err
		}
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("web", nil)} }
		*good = true
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.expectBanned("by the jail of the files", "192.0.2.1/32")
		w.end(d)
		*good = false
		d = w.start()
		w.pass(time.Minute)
		w.expectBanned("with a mistake", "192.0.2.1/32")
		byHand(w, d, "192.0.2.9/32")
		w.end(d)
		d = w.start() // again, with the same mistake
		defer w.end(d)
		w.expectBanned("with a mistake", "192.0.2.1/32", "192.0.2.9/32")
		*good = true
		w.hand()
		w.pass(10 * time.Second)
		w.expectBanned("corrected", "192.0.2.1/32", "192.0.2.9/32")
		a, err := d.Address(t.Context(), netip.MustParsePrefix("192.0.2.1/32"))
		if err != nil || len(a.Bans) != 1 || a.Bans[0].Jail != "web" || a.Bans[0].Offence != 1 {
			t.Errorf("corrected: %+v, %v; want the ban that web made", a.Bans, err)
		}
		w.pass(time.Hour)
		w.expectBanned("served", "192.0.2.9/32")
	})
}

// If the fallback fails, too, a start reports both errors.
func TestNoFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := mistaken(t)
		w.fallback = func(context.Context) (*daemon.Plan, string, error) { return nil, "", errors.New("no backend works") }
		d := w.start()
		err := d.stop()
		if err == nil || !strings.Contains(err.Error(), "maxretyr is no key") || !strings.Contains(err.Error(), "no backend works") {
			t.Errorf("got %v", err)
		}
	})
}
