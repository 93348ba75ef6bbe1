package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/actions"
	"exile/internal/control"
	"exile/journal"
)

// world is an engine in a bubble: its journal is a list, its helpers are a function.
type world struct {
	t       *testing.T
	dir     string
	actions []*actions.Action
	broken  []string // names of others
	grown   chan struct{}

	mu      sync.Mutex // the test and the engine are at work at the same time
	journal []journal.Entry
	asked   []call
	bans    []control.Ban
	slow    time.Duration // how long exiled takes to list them
	ask     func(*actions.Action, actions.Request) (bool, error)

	end   func() // of the engine
	ended chan struct{}
}

// call is what a helper was asked, and when.
type call struct {
	at     time.Duration
	action string
	about  string
	wanted int
}

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of every bubble

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), grown: make(chan struct{}, 1)}
	w.ask = func(*actions.Action, actions.Request) (bool, error) { return false, nil }
	for name, text := range files {
		a, err := actions.Parse(name+".yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		w.actions = append(w.actions, a)
	}
	return w
}

// Follow implements journal.Source.
func (w *world) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	next := from.Resume.Seqnum
	for {
		b := journal.Batch{Position: from.Resume, CaughtUp: true}
		w.mu.Lock()
		for ; int(next) < len(w.journal); next++ {
			b.Entries = append(b.Entries, w.journal[next])
			b.Position = w.journal[next].Position
		}
		w.mu.Unlock()
		if err := emit(b); err != nil {
			return err
		}
		from.Resume = b.Position
		select {
		case <-ctx.Done():
			return nil
		case <-w.grown:
		}
	}
}

// log writes an event of exiled to the journal.
func (w *world) log(kind control.EventKind, jail, address string, more ...string) {
	now := time.Now()
	fields := map[string]string{
		"EXILE_EVENT": string(kind), "EXILE_JAIL": jail, "EXILE_ADDRESS": address, "EXILE_SINCE": now.UTC().Format("2006-01-02T15:04:05.000000Z"),
		"EXILE_FAILURES": "5", "EXILE_OFFENCE": "1", "EXILE_ORIGIN": "journal",
	}
	for i := 0; i+1 < len(more); i += 2 {
		fields[more[i]] = more[i+1]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := uint64(len(w.journal) + 1)
	w.journal = append(w.journal, journal.Entry{
		Position: journal.Position{SeqnumID: journal.ID{1}, Seqnum: n, Boot: journal.ID{2}, Realtime: uint64(now.UnixMicro())}, Time: now, Fields: fields,
	})
	poke(w.grown)
}

// run starts the engine. Calls of helpers take no time unless ask sleeps.
func (w *world) run() {
	w.t.Helper()
	queue, err := OpenQueue(filepath.Join(w.dir, "queue.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := queue.Keep(append(names(w.actions), w.broken...)); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	w.end, w.ended = cancel, make(chan struct{})
	e := New(Config{
		Actions: w.actions, Broken: w.broken, Source: w, Queue: queue, Host: "host", Dir: w.dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Bans: func(_ context.Context, f func(control.Ban) error) error {
			w.mu.Lock()
			bans, slow := slices.Clone(w.bans), w.slow
			w.mu.Unlock()
			time.Sleep(slow)
			for _, b := range bans {
				if err := f(b); err != nil {
					return err
				}
			}
			return nil
		},
		Ask: w.record,
	})
	go func() {
		defer close(w.ended)
		e.Run(ctx)
		_ = queue.Close()
	}()
	synctest.Wait()
}

func names(all []*actions.Action) (out []string) {
	for _, a := range all {
		out = append(out, a.Name)
	}
	return out
}

func (w *world) record(ctx context.Context, a *actions.Action, r actions.Request) (bool, error) {
	c := call{at: time.Since(start), action: a.Name, wanted: len(r.Wanted)}
	for i := range r.Events {
		c.about += " " + string(r.Events[i].Event.Kind) + " " + r.Events[i].Address()
	}
	w.mu.Lock()
	w.asked = append(w.asked, c)
	ask := w.ask
	w.mu.Unlock()
	ended := make(chan error, 1)
	var more bool
	go func() {
		var err error
		more, err = ask(a, r)
		ended <- err
	}()
	select {
	case err := <-ended:
		return more, err
	case <-ctx.Done():
		<-ended
		return false, ctx.Err()
	}
}

// answer sets what helpers answer from now on.
func (w *world) answer(ask func(*actions.Action, actions.Request) (bool, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ask = ask
}

// banned sets the bans that exiled has.
func (w *world) banned(bans ...control.Ban) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bans = bans
}

// stop stops the engine, as systemd would.
func (w *world) stop() {
	w.end()
	<-w.ended
}

// after lets time pass.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// told returns what helpers were asked since the last call, and when since the start.
func (w *world) told() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.asked {
		out = append(out, fmt.Sprintf("%s %s%s", c.at, c.action, c.about))
	}
	w.asked = nil
	return out
}

// status returns what the engine has written about an action, after it had time for that.
func (w *world) status(name string) actions.ActionStatus {
	w.t.Helper()
	w.after(2 * written)
	s, err := actions.ReadStatus(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range s.Actions {
		if a.Name == name {
			return a
		}
	}
	w.t.Fatalf("the status has no action %q: %+v", name, s)
	return actions.ActionStatus{}
}

func ban(jail, prefix string) control.Ban {
	return control.Ban{Jail: jail, Prefix: netip.MustParsePrefix(prefix)}
}

var errDown = errors.New("it is down")
