package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// script is a source that plays entries: those before the resume point as replayed, the others as they are, and then
// what the test sends.
type script struct {
	past []journal.Entry
	live chan []journal.Entry
	gaps chan journal.Gap
	fail chan error
	rest time.Duration // after each entry of the past
}

func (s *script) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	for _, e := range s.past {
		e.Replayed = e.Position.Seqnum <= from.Resume.Seqnum
		if e.Replayed && (from.Since.IsZero() || e.Time.Before(from.Since)) {
			continue
		}
		if err := emit(journal.Batch{Entries: []journal.Entry{e}, Position: later(e.Position, from.Resume)}); err != nil {
			return err
		}
		time.Sleep(s.rest)
	}
	if err := emit(journal.Batch{CaughtUp: true}); err != nil {
		return err
	}
	for {
		select {
		case entries := <-s.live:
			s.past = append(s.past, entries...)
			if err := emit(journal.Batch{Entries: entries, Position: entries[len(entries)-1].Position, CaughtUp: true}); err != nil {
				return err
			}
		case g := <-s.gaps:
			if err := emit(journal.Batch{Gaps: []journal.Gap{g}}); err != nil {
				return err
			}
		case err := <-s.fail:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func later(a, b journal.Position) journal.Position {
	if a.Seqnum > b.Seqnum {
		return a
	}
	return b
}

// world is what a daemon of these tests lives in, and what outlives it.
type world struct {
	t       *testing.T
	dir     string
	kernel  *firewalltest.Fake
	backend firewall.Backend // what stands between the daemon and its kernel; nil: nothing
	source  *script
	seq     uint64
	service string        // the identifier of entries
	wrong   time.Duration // how far the clock of the log is wrong
	told    []string
	marks   []string // of what was told: the same for what is told twice, and for nothing else
	states  []string // told, too
	d       *running
	jails   func() []*daemon.Jail
	onTrial func() []*daemon.Jail   // the jails of a configuration on trial
	refuse  func(trial string) bool // whether a configuration is bad; "" is the files
	notify  func(string)
	change  func(*daemon.Plan)              // the plan before it is run
	store   func(daemon.Store) daemon.Store // what stands between the daemon and its file
	revive  func()                          // called often; nil: nobody is there to start another process
	fuse    *fuse                           // what stands between the daemon and the world; nil: nothing
	stalled bool                            // the journal takes nothing
	waiting []control.Event                 // for the journal
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, dir: t.TempDir(), kernel: firewalltest.NewFake(),
		source: &script{live: make(chan []journal.Entry), gaps: make(chan journal.Gap), fail: make(chan error)},
		store:  func(s daemon.Store) daemon.Store { return s },
		change: func(*daemon.Plan) {}, notify: func(string) {},
	}
	w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", nil)} }
	return w
}

type allowList []netip.Prefix

func (l allowList) Allowed(a netip.Addr, _ time.Time) (string, bool) {
	for _, p := range l {
		if p.Contains(a) {
			return "ignoreip " + p.String(), true
		}
	}
	return "", false
}

func (l allowList) Touches(p netip.Prefix) (string, bool) {
	for _, friend := range l {
		if friend.Overlaps(p) {
			return "ignoreip " + friend.String(), true
		}
	}
	return "", false
}

// jail is maxretry 3, findtime 10m, bantime 1h, doubled at each further offence.
func (w *world) jail(name string, allow allowList) *daemon.Jail {
	w.t.Helper()
	return w.jailOf(name, allow, 3)
}

func (w *world) jailOf(name string, allow allowList, maxRetry int) *daemon.Jail {
	w.t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := jail.Config{
		Name: name, Detection: jail.Threshold, MaxRetry: maxRetry, FindTime: 10 * time.Minute, BanTime: time.Hour,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000,
	}
	j, err := jail.New(cfg, f, allow, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &daemon.Jail{
		Jail: j, Info: control.JailStatus{Name: name, BanTime: time.Hour}, Accepts: func(*journal.Entry) bool { return true },
		Sentence: func(n int, _ netip.Prefix) time.Duration { return time.Hour << (n - 1) },
		Remember: 24 * time.Hour, LookBack: 15 * time.Minute, Origin: control.OriginJournal, IPv4Prefix: 32, IPv6Prefix: 64,
	}
}

// running is a daemon at work.
type running struct {
	*daemon.Daemon
	stop func() error
}

// start starts a daemon; stop ends it in order.
func (w *world) start() *running {
	w.t.Helper()
	store, err := state.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	d := daemon.New(daemon.Config{
		Plan: func(_ context.Context, trial string) (*daemon.Plan, error) {
			if w.refuse != nil && w.refuse(trial) {
				return nil, errors.New("maxretyr is no key")
			}
			jails := w.jails()
			if trial != "" {
				jails = w.onTrial()
			}
			var backend firewall.Backend = w.kernel
			if w.backend != nil {
				backend = w.backend
			}
			plan := &daemon.Plan{
				Jails: jails, Backend: backend, Name: "fake", PurgeAge: 48 * time.Hour,
				Sources: []daemon.Source{{Name: "journal", Source: w.source, Jails: jails}},
			}
			w.change(plan)
			return plan, nil
		},
		Store: w.store(store), Announce: w.announce, Waiting: func() int { return len(w.waiting) },
		Notify: w.notify, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test",
	})
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	synctest.Wait()
	stop := func() error {
		cancel()
		return errors.Join(<-done, store.Close())
	}
	w.d = &running{d, stop}
	return w.d
}

// hand gives what the test looked at or changed back to the loop: an answer from it is what the race detector believes.
func (w *world) hand() {
	w.t.Helper()
	if _, err := w.d.Status(context.Background()); err != nil && w.d.stop != nil {
		w.t.Errorf("Status: %v", err)
	}
}

// forget forgets what was told.
func (w *world) forget() {
	w.hand()
	w.told = nil
	w.hand()
}

func (w *world) announce(e control.Event) {
	switch {
	case w.fuse != nil && w.fuse.dead.Load():
	case w.stalled:
		w.waiting = append(w.waiting, e)
	case e.Kind == control.StateChanged:
		w.states = append(w.states, e.Reason)
	case w.fuse == nil || w.fuse.at("before world"):
		w.told = append(w.told, tell(e))
		w.marks = append(w.marks, fmt.Sprint(tell(e), " ", e.Ban.Jail, " ", e.Ban.Since.UnixMicro()))
		if w.fuse != nil {
			w.fuse.at("after world")
		}
	}
}

func tell(e control.Event) string {
	switch e.Kind {
	case control.BanNew:
		return fmt.Sprintf("ban %s offence %d", e.Ban.Prefix, e.Ban.Offence)
	case control.BanRemoved:
		return fmt.Sprintf("unban %s %s", e.Ban.Prefix, e.Reason)
	case control.Repaired:
		return fmt.Sprintf("repaired %d", e.Count)
	default:
		return fmt.Sprintf("%s %s", e.Kind, e.Reason)
	}
}

// guess is a wrong password from an address, now.
func (w *world) guess(addr string) journal.Entry {
	w.seq++
	at := time.Now().Add(w.wrong)
	return journal.Entry{
		Position: journal.Position{SeqnumID: journal.ID{1}, Seqnum: w.seq, Realtime: uint64(at.UnixMicro())},
		Time:     at, Identifier: w.service, PID: int32(w.seq), Message: []byte("Failed password for root from " + addr + " port 4000 ssh2"),
	}
}

// attack lets so many wrong passwords come from an address, a second apart, and waits until they are dealt with.
func (w *world) attack(addr string, guesses int) {
	for range guesses {
		w.source.live <- []journal.Entry{w.guess(addr)}
		w.pass(time.Second)
	}
}

// pass lets time pass, and a process that dies be followed by another one soon.
func (w *world) pass(t time.Duration) {
	for step := max(t/60, time.Second); t > 0; t -= step {
		time.Sleep(min(t, step))
		synctest.Wait()
		if w.revive != nil {
			w.revive()
		}
	}
}

// banned is what the kernel holds, in order.
func (w *world) banned() []string {
	var list []string
	for _, b := range w.kernel.Bans() {
		list = append(list, b.Prefix.String())
	}
	slices.Sort(list)
	return list
}

func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.told); diff != "" {
		w.t.Errorf("%s: told (-want +got)\n%s", what, diff)
	}
	w.told = nil
	w.hand()
}

func (w *world) expectBanned(what string, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.banned()); diff != "" {
		w.t.Errorf("%s: the kernel holds (-want +got)\n%s", what, diff)
	}
	w.hand()
}

func (w *world) end(d *running) {
	w.t.Helper()
	if err := d.stop(); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	d.stop = nil
}

func TestBanExpireAndGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.expect("third guess", "ban 192.0.2.1/32 offence 1")
		w.expectBanned("third guess", "192.0.2.1/32")
		time.Sleep(time.Hour)
		w.expect("an hour later", "unban 192.0.2.1/32 expired")
		w.expectBanned("an hour later")
		w.attack("192.0.2.1", 3)
		w.expect("second offence", "ban 192.0.2.1/32 offence 2")
		time.Sleep(90 * time.Minute)
		w.expectBanned("90 minutes into a ban of two hours", "192.0.2.1/32")
	})
}

func TestRestartCountsEveryGuessOnce(t *testing.T) {
	for guesses := range 4 {
		t.Run(fmt.Sprintf("after %d guesses", guesses), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				d := w.start()
				w.attack("192.0.2.1", guesses)
				w.end(d)
				d = w.start()
				defer w.end(d)
				w.attack("192.0.2.1", 3-guesses)
				w.expect("third guess", "ban 192.0.2.1/32 offence 1")
				w.expectBanned("third guess", "192.0.2.1/32")
			})
		})
	}
}

// Three guesses ban; the ban is lifted at once; two guesses more, a restart, and a third: were the first three counted
// again after the restart, the ban would come too early.
func TestPardonSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		n, err := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32"))
		if n != 1 || err != nil {
			t.Errorf("Unban: %d, %v; want 1, nil", n, err)
		}
		time.Sleep(time.Second)
		w.attack("192.0.2.1", 1)
		w.expect("unban", "ban 192.0.2.1/32 offence 1", "unban 192.0.2.1/32 unban")
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 1)
		w.expectBanned("second guess after the pardon")
		w.attack("192.0.2.1", 1)
		w.expect("third guess after the pardon", "ban 192.0.2.1/32 offence 2")
	})
}

func TestStopLeavesBansAndStartRestoresThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.1", 3)
		w.end(d)
		w.expectBanned("stopped", "192.0.2.1/32")
		if w.kernel.Closed != 1 || w.kernel.Destroyed != 0 {
			t.Errorf("backend closed %d times, destroyed %d times; want 1, 0", w.kernel.Closed, w.kernel.Destroyed)
		}
		w.kernel = firewalltest.NewFake() // a reboot
		d = w.start()
		defer w.end(d)
		w.expectBanned("rebooted", "192.0.2.1/32")
	})
}

func TestKernelTroubleIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		broken := true
		w.kernel.Fail = func(firewalltest.Verb) error {
			if broken {
				return errors.New("no buffer space available")
			}
			return nil
		}
		w.attack("192.0.2.1", 3)
		w.expect("kernel refuses", "degraded backend-failed", "ban 192.0.2.1/32 offence 1")
		broken = false
		w.hand()
		time.Sleep(time.Minute)
		w.expectBanned("kernel recovered", "192.0.2.1/32")
		w.expect("kernel recovered", "recovered backend-failed")
		w.kernel.Flush()
		w.hand()
		time.Sleep(time.Minute)
		w.expectBanned("somebody flushed", "192.0.2.1/32")
		w.expect("somebody flushed", "repaired 1")
	})
}

// refusing is a store on a full disk.
type refusing struct {
	daemon.Store
	full *bool
}

func (r refusing) Commit(b state.Batch) error {
	if *r.full {
		return state.ErrFull
	}
	return r.Store.Commit(b)
}

func TestFullDiskDoesNotStopBanning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		full := true
		w.store = func(s daemon.Store) daemon.Store { return refusing{s, &full} }
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.expectBanned("disk full", "192.0.2.1/32")
		full = false
		w.hand()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !slices.Contains(w.told, "recovered state-failed") || !slices.Contains(w.told, "ban 192.0.2.1/32 offence 1") {
			t.Errorf("told %q", w.told)
		}
	})
}

// losing is a store whose file was lost, on a disk that has no room for all of it at first.
type losing struct {
	daemon.Store
	lost, refused *bool
}

func (l losing) Commit(b state.Batch) error {
	if !*l.lost {
		*l.lost = true
		return state.ErrSetAside
	}
	return l.Store.Commit(b)
}

func (l losing) Replace(c state.Contents) error {
	if !*l.refused {
		*l.refused = true
		return state.ErrFull
	}
	return l.Store.Replace(c)
}

// When the file is lost while the daemon runs, everything is written anew, also when that fails at first.
func TestLostFileIsWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var lost, refused bool
		w.store = func(s daemon.Store) daemon.Store { return losing{s, &lost, &refused} }
		d := w.start()
		if _, err := d.Ban(t.Context(), control.BanRequest{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Duration: time.Hour}); err != nil {
			t.Fatal(err)
		}
		w.attack("192.0.2.2", 3)
		time.Sleep(time.Minute)
		w.end(d)
		if !refused {
			t.Fatal("the disk was never full: nothing was tested")
		}
		if diff := cmp.Diff([]string{"192.0.2.2/32", "192.0.2.7/32"}, w.outcome().Disk); diff != "" {
			t.Errorf("on disk (-want +got)\n%s", diff)
		}
	})
}

func TestProtectedAndManual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mine := netip.MustParsePrefix("198.51.100.0/24")
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", allowList{mine})} }
		d := w.start()
		defer w.end(d)
		w.attack("198.51.100.7", 3)
		w.expect("my own network", "protected ignoreip 198.51.100.0/24")
		request := control.BanRequest{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Duration: time.Minute}
		if _, err := d.Ban(t.Context(), request); !errors.Is(err, control.ErrProtected) {
			t.Errorf("ban of a protected address: %v, want %v", err, control.ErrProtected)
		}
		around := control.BanRequest{Prefix: netip.MustParsePrefix("198.51.0.0/16"), Duration: time.Minute}
		if _, err := d.Ban(t.Context(), around); !errors.Is(err, control.ErrProtected) {
			t.Errorf("ban of a network with a protected address: %v, want %v", err, control.ErrProtected)
		}
		request.Force = true
		if _, err := d.Ban(t.Context(), request); err != nil {
			t.Errorf("forced ban: %v", err)
		}
		w.expectBanned("forced", "198.51.100.7/32")
		time.Sleep(time.Minute)
		w.expectBanned("a minute later")
		for _, bad := range []control.BanRequest{
			{},
			{Prefix: netip.MustParsePrefix("10.0.0.0/7")},
			{Jail: "nginx", Prefix: netip.MustParsePrefix("192.0.2.1/32")},
			{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Duration: -1},
		} {
			if _, err := d.Ban(t.Context(), bad); err == nil {
				t.Errorf("Ban(%+v) did not fail", bad)
			}
		}
	})
}

// Whoever bans by hand makes a ban longer, never shorter, and many at once fail each for itself.
func TestBanByHandNeverShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		begin := time.Now()
		one, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		for _, step := range []struct {
			request control.BanRequest
			want    time.Time
		}{
			{control.BanRequest{Prefix: one, Duration: time.Hour}, begin.Add(time.Hour)},
			{control.BanRequest{Prefix: one, Duration: time.Minute}, begin.Add(time.Hour)},
			{control.BanRequest{Prefix: one, Duration: 2 * time.Hour}, begin.Add(2 * time.Hour)},
			{control.BanRequest{Prefix: one, Permanent: true}, time.Time{}},
			{control.BanRequest{Prefix: one, Duration: time.Hour}, time.Time{}},
		} {
			b, err := d.Ban(t.Context(), step.request)
			if err != nil || !b.Until.Equal(step.want) {
				t.Errorf("Ban(%+v) until %s, %v; want until %s", step.request, b.Until, err, step.want)
			}
		}
		errs, err := d.BanMany(t.Context(), []control.BanRequest{{Prefix: one, Duration: time.Hour}, {}, {Prefix: other, Duration: time.Hour}, {Jail: "nginx", Prefix: other}})
		if err != nil || len(errs) != 4 || errs[0] != nil || !errors.Is(errs[1], control.ErrInvalid) || errs[2] != nil || !errors.Is(errs[3], control.ErrNoSuchJail) {
			t.Errorf("BanMany: %v, %v", errs, err)
		}
		w.expectBanned("after all", one.String(), other.String())
		time.Sleep(24 * time.Hour)
		w.expectBanned("a day later", one.String())
	})
}

func TestReloadKeepsBansAndCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.attack("192.0.2.2", 2)
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("reloaded", "192.0.2.1/32")
		w.attack("192.0.2.2", 1)
		w.expect("third guess", "ban 192.0.2.1/32 offence 1", "reloaded ", "ban 192.0.2.2/32 offence 1")
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("other", nil)} }
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectBanned("the jail is gone")
	})
}

func TestPauseUnbansAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		if err := d.Pause(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		w.attack("192.0.2.1", 3)
		w.expectBanned("paused")
		time.Sleep(10 * time.Minute)
		// At once, not when somebody asks. Whether it was seen to catch up with so little is chance.
		synctest.Wait()
		w.states = slices.DeleteFunc(w.states, func(s string) bool { return s == "catching-up" })
		w.expectStates("running", "paused", "running")
		w.attack("192.0.2.1", 3)
		w.expectBanned("resumed", "192.0.2.1/32")
		for _, t := range []time.Duration{time.Minute, time.Hour, 0} { // another end is news too
			if err := d.Pause(w.t.Context(), t); err != nil {
				w.t.Fatal(err)
			}
		}
		w.expectStates("paused", "paused", "running")
		if s, err := d.Status(t.Context()); err != nil || !s.PausedTo.IsZero() {
			t.Errorf("after the pause: paused until %v, %v", s.PausedTo, err)
		}
	})
}

// A pause lasts as long as it was asked for, whatever happens to the daemon.
func TestPauseSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		if err := d.Pause(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		w.end(d)
		d = w.start()
		w.attack("192.0.2.1", 3)
		w.expectBanned("paused")
		time.Sleep(10 * time.Minute)
		w.attack("192.0.2.1", 3)
		w.expectBanned("resumed", "192.0.2.1/32")
		if err := errors.Join(d.Pause(t.Context(), time.Hour), d.Pause(t.Context(), 0)); err != nil {
			t.Fatal(err)
		}
		w.end(d)
		d = w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 3)
		w.expectBanned("the pause was ended", "192.0.2.1/32")
	})
}

func (w *world) expectStates(want ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.states); diff != "" {
		w.t.Errorf("states (-want +got)\n%s", diff)
	}
	w.states = nil
	w.hand()
}

func TestSourceThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		w.attack("192.0.2.1", 2)
		w.source.fail <- errors.New("no inotify watches left")
		time.Sleep(2 * time.Second)
		w.attack("192.0.2.1", 1)
		w.expect("third guess", "degraded source-failed", "recovered source-failed", "ban 192.0.2.1/32 offence 1")
	})
}

// Pages are read away from the loop while bans come and go: each is whole.
func TestPagesWhileBansChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		defer w.end(d)
		many := func(third byte) (out []control.BanRequest) {
			for i := range 100 {
				out = append(out, control.BanRequest{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, third, byte(i)}), 32)})
			}
			return out
		}
		if _, err := d.BanMany(t.Context(), many(2)); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 50 {
				bans, _, err := d.Bans(t.Context(), control.Page{Max: 10_000})
				sorted := slices.IsSortedFunc(bans, func(a, b control.Ban) int { return a.Prefix.Compare(b.Prefix) })
				if err != nil || !sorted || len(bans) != 100 && len(bans) != 200 {
					t.Errorf("page of %d bans, sorted: %t, %v", len(bans), sorted, err)
				}
			}
		}()
		for range 50 {
			_, err := d.BanMany(t.Context(), many(3))
			if n, wrong := d.Unban(t.Context(), "", netip.MustParsePrefix("192.0.3.0/24")); n != 100 || err != nil || wrong != nil {
				t.Errorf("%d bans lifted, %v, %v", n, err, wrong)
			}
		}
		<-done
	})
}

func TestPagesCoverEveryBanOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("a", nil), w.jail("b", nil)} }
		d := w.start()
		defer w.end(d)
		var want []string
		for _, name := range []string{"a", "b"} {
			for i := range 25 {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
				if _, err := d.Ban(t.Context(), control.BanRequest{Jail: name, Prefix: p}); err != nil {
					t.Fatal(err)
				}
				want = append(want, name+" "+p.String())
			}
		}
		var got []string
		for page := (control.Page{Max: 10}); ; {
			bans, next, err := d.Bans(t.Context(), page)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range bans {
				got = append(got, b.Jail+" "+b.Prefix.String())
			}
			if next == "" {
				break
			}
			page.After = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("bans (-want +got)\n%s", diff)
		}
		if got := len(w.kernel.Bans()); got != 25 {
			t.Errorf("the kernel holds %d prefixes, want 25: both jails ban the same", got)
		}
		if n, err := d.Unban(t.Context(), "a", netip.Prefix{}); n != 25 || err != nil {
			t.Errorf("Unban of jail a: %d, %v; want 25, nil", n, err)
		}
		if got := len(w.kernel.Bans()); got != 25 {
			t.Errorf("the kernel holds %d prefixes, want 25: jail b still bans them", got)
		}
		if matches, _ := filepath.Glob(filepath.Join(w.dir, "*")); len(matches) != 1 {
			t.Errorf("state directory holds %v, want one file", matches)
		}
	})
}
