package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/banning"
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

// world is the environment of a daemon in these tests; it outlives the daemon.
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
	journal []control.Event
	marks   []string // of what was told: the same for what is told twice, and for nothing else
	states  []string // told, too
	d       *running
	jails   func() []*daemon.Jail
	onTrial func() []*daemon.Jail   // the jails of a configuration on trial
	refuse  func(trial string) bool // whether a configuration is bad; "" is the files
	notify  func(string)
	line    string // the last STATUS=
	mistake string // what is wrong with it
	// fallback returns what a start uses in place of bad files; nil: there is nothing.
	fallback func(context.Context) (*daemon.Plan, string, error)
	change   func(*daemon.Plan)              // the plan before it is run
	store    func(daemon.Store) daemon.Store // what stands between the daemon and its file
	revive   func()                          // called often; nil: nobody is there to start another process
	fuse     *fuse                           // what stands between the daemon and the world; nil: nothing
	stalled  bool                            // the journal takes nothing
	waiting  []control.Event                 // for the journal
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, dir: t.TempDir(), kernel: firewalltest.NewFake(),
		source: &script{live: make(chan []journal.Entry), gaps: make(chan journal.Gap), fail: make(chan error)},
		store:  func(s daemon.Store) daemon.Store { return s },
		change: func(*daemon.Plan) {}, mistake: "maxretyr is no key",
	}
	w.notify = func(said string) {
		if strings.HasPrefix(said, "STATUS=") {
			w.line = said
		}
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
	return &daemon.Jail{
		Jail: banning.Jail{
			Jail: w.detection(name, allow, maxRetry, nil), Name: name, Remember: 24 * time.Hour,
			Length: func(n int, _ netip.Prefix) time.Duration { return time.Hour << (n - 1) },
		},
		Info:    control.JailStatus{Name: name, FindTime: 10 * time.Minute, BanTime: time.Hour},
		Accepts: func(*journal.Entry) bool { return true }, LookBack: 15 * time.Minute, Origin: control.OriginJournal,
	}
}

// detection decides in a jail by that detector or, without one, by maxretry.
func (w *world) detection(name string, allow jail.Allow, maxRetry int, d jail.Detector) *jail.Jail {
	w.t.Helper()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := jail.Config{
		Name: name, Detection: jail.Threshold, MaxRetry: maxRetry, FindTime: 10 * time.Minute, BanTime: time.Hour,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000,
	}
	j, err := jail.New(cfg, f, allow, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

// running is a daemon at work.
type running struct {
	*daemon.Daemon
	stop func() error
}

// start starts a daemon; stop stops it orderly.
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
				return nil, errors.New(w.mistake)
			}
			jails := w.jails()
			if trial != "" {
				jails = w.onTrial()
			}
			return w.plan(jails), nil
		},
		Fallback: w.fallback,
		Store:    w.store(store), Announce: w.announce, Waiting: func() int { return len(w.waiting) },
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

func (w *world) plan(jails []*daemon.Jail) *daemon.Plan {
	var backend firewall.Backend = w.kernel
	if w.backend != nil {
		backend = w.backend
	}
	plan := &daemon.Plan{
		Jails: jails, Backend: backend, Name: "fake", PurgeAge: 48 * time.Hour,
		Sources: []daemon.Source{{Name: "journal", Source: w.source, Jails: jails}},
	}
	w.change(plan)
	return plan
}

// hand orders what the test looked at or changed before what the loop does next, for the race detector: the loop answers a call. When it
// returns the loop waits, for another call or for time to pass.
func (w *world) hand() {
	w.t.Helper()
	if _, err := w.d.Status(context.Background()); err != nil && w.d.stop != nil {
		w.t.Errorf("Status: %v", err)
	}
	synctest.Wait()
}

// forget forgets what was told.
func (w *world) forget() {
	w.hand()
	w.told, w.journal = nil, nil
	w.hand()
}

func (w *world) announce(e control.Event) {
	switch {
	case w.fuse != nil && w.fuse.dead.Load():
	case w.stalled:
		w.waiting = append(w.waiting, e)
	case e.Kind == control.BansRemoved:
		w.journal = append(w.journal, e)
	case e.Kind == control.StateChanged:
		w.states = append(w.states, e.Reason)
	case w.fuse == nil || w.fuse.at("before world"):
		w.told = append(w.told, tell(e))
		if !e.Summed {
			w.journal = append(w.journal, e)
		}
		w.marks = append(w.marks, fmt.Sprint(tell(e), " ", e.Ban.Jail, " ", e.Ban.Since.UnixMicro()))
		if w.fuse != nil {
			w.fuse.at("after world")
		}
	}
}

func tell(e control.Event) string {
	if e.Ban.Simulated {
		e.Ban.Simulated = false
		return "simulated " + tell(e)
	}
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

// pass lets time pass. A process that dies is soon followed by another one.
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
