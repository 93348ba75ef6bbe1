package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/firewall"
	"exile/firewall/firewalltest"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/state"
	"exile/internal/tally"
	"exile/journal"
)

var errDead = errors.New("the process is dead")

// fuse stops the process at one step of one commit: from then on nothing that it does has an effect.
type fuse struct {
	step string      // "before kernel", "after kernel", ...
	skip int         // how often the step passes before
	dead atomic.Bool // the disk is written by a goroutine of its own
}

// at passes a step; it reports false when the process is dead.
func (f *fuse) at(step string) bool {
	if f.dead.Load() {
		return false
	}
	if step == f.step {
		f.skip--
		if f.skip < 0 {
			f.dead.Store(true)
		}
	}
	return !f.dead.Load()
}

// mortal is a kernel that a dead process cannot reach.
type mortal struct {
	*firewalltest.Fake
	fuse *fuse
}

func (m mortal) List(ctx context.Context) ([]firewall.Ban, error) {
	if m.fuse.dead.Load() {
		return nil, errDead
	}
	return m.Fake.List(ctx)
}

func (m mortal) Apply(ctx context.Context, c firewall.Change) error {
	if !m.fuse.at("before kernel") {
		return errDead
	}
	err := m.Fake.Apply(ctx, c)
	if !m.fuse.at("after kernel") {
		return errDead
	}
	return err
}

// mortalStore is a disk that a dead process cannot reach.
type mortalStore struct {
	daemon.Store
	fuse *fuse
}

func (m mortalStore) Commit(b state.Batch) error {
	if !m.fuse.at("before disk") {
		return errDead
	}
	err := m.Store.Commit(b)
	if !m.fuse.at("after disk") {
		return errDead
	}
	return err
}

// outcome is the result of a run after a second process has taken over.
type outcome struct {
	Kernel  []string
	Disk    []string
	Past    map[string]int
	Repeats map[string]int // bans that the recidive rule counts
	Paused  bool
	Trial   bool
	Counted tally.Numbers // of all days
	Told    []string
}

func (w *world) outcome() outcome {
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
	o := outcome{Kernel: w.banned(), Past: make(map[string]int), Repeats: make(map[string]int), Paused: !contents.Paused.IsZero()}
	o.Trial, o.Told = contents.Trial.Text != "", w.marks
	past := tally.Read(slices.Collect(maps.Values(contents.History)))
	o.Counted = past.Total()
	for who := range contents.Bans {
		o.Disk = append(o.Disk, who.Prefix.String())
	}
	slices.Sort(o.Disk)
	o.Disk = slices.Compact(o.Disk) // of two jails
	for prefix, bans := range contents.Repeats {
		o.Repeats[prefix.String()] = len(bans)
	}
	for who, past := range contents.Past {
		o.Past[who.Prefix.String()] = past.Offences
	}
	return o
}

// settings prepares the world for changes that need more than the usual one.
func settings() map[string]func(w *world) {
	return map[string]func(w *world){
		"repeated ban":    func(w *world) { w.recidive(2) },
		"bans in a group": func(w *world) { w.grouped(3) },
		"memory":          func(w *world) { w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.adaptive()} } },
		"trial": func(w *world) {
			w.onTrial = func() []*daemon.Jail { return []*daemon.Jail{w.jailOf("sshd", nil, 1)} }
		},
	}
}

// changes are the kinds of changes that a crash may hit. Each waits until the daemon is done with it, or dead.
func changes() map[string]func(w *world, d *running) {
	prefix := netip.MustParsePrefix("192.0.2.1/32")
	return map[string]func(w *world, d *running){
		"repeated ban": func(w *world, _ *running) {
			for range 3 { // twice for a recidive ban, and once for the next
				w.attack("192.0.2.1", 3)
				w.pass(8 * time.Hour)
			}
		},
		"bans in a group": func(w *world, _ *running) {
			for _, addr := range []string{"2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "2001:db8:0:4::1"} {
				w.attack(addr, 3)
			}
		},
		"pause": func(w *world, d *running) {
			w.attack("192.0.2.1", 3)
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
			defer cancel()
			_ = d.Pause(ctx, time.Hour)
		},
		"ban": func(w *world, _ *running) { w.attack("192.0.2.1", 3) },
		"two bans": func(w *world, _ *running) {
			w.attack("192.0.2.1", 2)
			w.attack("192.0.2.2", 3)
			w.attack("192.0.2.1", 1)
		},
		"expiry": func(w *world, _ *running) {
			w.attack("192.0.2.1", 3)
			w.pass(time.Hour)
		},
		"ban again": func(w *world, _ *running) {
			w.attack("192.0.2.1", 3)
			w.pass(time.Hour)
			w.attack("192.0.2.1", 3)
		},
		"unban": func(w *world, d *running) {
			w.attack("192.0.2.1", 3)
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
			defer cancel()
			_, _ = d.Unban(ctx, "", prefix) // a dead process does not answer
		},
		"memory": func(w *world, _ *running) {
			w.attack("192.0.2.1", 2)
			w.pass(20 * time.Minute) // a snapshot is due with the next entry
			w.attack("192.0.2.1", 3)
		},
		"reload": func(w *world, d *running) {
			w.attack("192.0.2.1", 3)
			w.attack("192.0.2.2", 3)
			w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", allowList{prefix})} }
			w.hand()
			_ = d.Reload(w.t.Context())
			w.attack("192.0.2.3", 3)
		},
		"forget": func(w *world, d *running) {
			w.attack("192.0.2.1", 3)
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
			defer cancel()
			_, _ = d.ForgetAddress(ctx, "", prefix)
		},
		"trial": func(w *world, d *running) {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
			defer cancel()
			_ = d.Try(ctx, "maxretry: 1", 10*time.Second)
			w.attack("192.0.2.1", 1)
			w.pass(20 * time.Second)
		},
		"ban by hand": func(w *world, d *running) {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
			defer cancel()
			_, _ = d.Ban(ctx, control.BanRequest{Prefix: prefix, Duration: time.Hour})
		},
	}
}

// crash runs a change, stops the process as f says, and lets a second process take over at once.
func crash(t *testing.T, f *fuse, name string) (outcome, bool) {
	w := newWorld(t)
	if set := settings()[name]; set != nil {
		set(w)
	}
	fake := w.kernel
	w.backend, w.fuse = mortal{fake, f}, f
	w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, f} }
	d := w.start()
	w.revive = func() {
		if !f.dead.Load() {
			return
		}
		_ = w.d.stop()
		w.revive, w.backend, w.fuse = nil, fake, nil
		w.store = func(s daemon.Store) daemon.Store { return s }
		w.start()
	}
	changes()[name](w, d)
	w.hand()
	crashed := f.dead.Swap(true) // whoever did not die before dies now
	if w.revive != nil {
		w.revive()
	}
	w.pass(2 * time.Second)
	w.hand()
	w.end(w.d)
	return w.outcome(), crashed
}

// checkAnnounced compares what was announced, before the crash and after, with a run without a crash. Exactly that is announced. Only events of
// the last batch before the crash may be announced twice, with the same time, because it is unknown whether they were.
func checkAnnounced(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, firsts(got)); diff != "" {
		t.Errorf("announced (-want +got)\n%s", diff)
	}
}

// firsts returns the list without repetitions.
func firsts(list []string) []string {
	var first []string
	for _, s := range list {
		if !slices.Contains(first, s) {
			first = append(first, s)
		}
	}
	return first
}

// At whatever step of whatever commit the process dies, the next process ends up in the same state as one that does not die. Commands that were
// never answered may have been carried out or not, but the kernel and the disk agree.
func TestCrashTable(t *testing.T) {
	t.Parallel()
	for name := range changes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			most := math.MaxInt
			if testing.Short() { // for the race detector, which learns nothing from more
				most = 3
			}
			var want outcome
			synctest.Test(t, func(t *testing.T) { want, _ = crash(t, &fuse{step: "never"}, name) })
			for _, step := range []string{"before kernel", "after kernel", "before disk", "after disk", "before world", "after world"} {
				for crashed, skip := true, 0; crashed && skip < most; skip++ {
					t.Run(fmt.Sprintf("%s %d", step, skip), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { crashed = crashAndCompare(t, name, &fuse{step: step, skip: skip}, want) })
					})
				}
			}
		})
	}
}

// crashAndCompare reports whether the process died at all: a step ends with the first cell in which it does not.
func crashAndCompare(t *testing.T, name string, f *fuse, want outcome) bool {
	got, crashed := crash(t, f, name)
	enforced := got.Disk
	if got.Paused {
		enforced = nil
	}
	if diff := cmp.Diff(got.Kernel, enforced); diff != "" {
		t.Errorf("kernel and disk differ (-kernel +disk)\n%s", diff)
	}
	if unanswered := []string{"unban", "ban by hand", "pause", "reload", "trial", "forget"}; slices.Contains(unanswered, name) {
		return crashed
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(outcome{}, "Told")); diff != "" {
		t.Errorf("after the crash (-want +got)\n%s", diff)
	}
	checkAnnounced(t, want.Told, got.Told)
	return crashed
}

// A process dies when the kernel has a ban and the disk does not. The next process keeps the ban until it has read the log again, which takes a
// while here and leads to the ban. Unknown bans go then; those of protected addresses go at once.
func TestBanOutlivesCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.start()
		w.attack("192.0.2.7", 3)
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		fake, f := w.kernel, &fuse{step: "after kernel"}
		w.backend, w.fuse = mortal{fake, f}, f
		w.store = func(s daemon.Store) daemon.Store { return mortalStore{s, f} }
		d = w.start()
		w.attack("192.0.2.1", 3)
		_ = d.stop()
		foreign := firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.9/32")}, Until: time.Now().Add(time.Hour)}
		if err := fake.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{foreign}}); err != nil {
			t.Fatal(err)
		}
		friend := allowList{netip.MustParsePrefix("192.0.2.7/32")}
		w.jails = func() []*daemon.Jail { return []*daemon.Jail{w.jail("sshd", friend)} }
		w.backend, w.fuse, w.told, w.source.rest = nil, nil, nil, time.Minute/10
		w.store = func(s daemon.Store) daemon.Store { return s }
		w.start()
		defer w.end(w.d)
		w.expectBanned("started", "192.0.2.1/32", "192.0.2.9/32")
		w.pass(time.Minute)
		w.expectBanned("read the log", "192.0.2.1/32")
		w.expect("read the log", "unban 192.0.2.7/32 protected", "ban 192.0.2.1/32 offence 1")
	})
}

// If the log cannot be read to its end, unknown bans leave the kernel after five minutes.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		foreign := firewall.Ban{Key: firewall.Key{Prefix: netip.MustParsePrefix("192.0.2.9/32")}, Until: time.Now().Add(24 * time.Hour)}
		if err := w.kernel.Apply(t.Context(), firewall.Change{Add: []firewall.Ban{foreign}}); err != nil {
			t.Fatal(err)
		}
		w.source.past, w.source.rest = []journal.Entry{w.guess("192.0.2.1")}, time.Hour
		w.start()
		defer w.end(w.d)
		w.pass(4 * time.Minute)
		w.expectBanned("four minutes later", "192.0.2.9/32")
		w.pass(3 * time.Minute)
		w.expectBanned("seven minutes later")
	})
}
