// Package engine tells actions what happened: it follows exile's own events in the journal, keeps a queue for each action, and has helpers do
// the rest. exiled does not know of it, and waits for nothing here.
package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"exile/internal/actions"
	"exile/internal/announce"
	"exile/internal/control"
	"exile/journal"
)

// Config is what an Engine works with.
type Config struct {
	Actions  []*actions.Action
	Broken   []string       // names of actions whose files have mistakes: events wait for them
	Problems []string       // what is wrong with those
	Source   journal.Source // of the entries that Select selects, with the fields of announce.Prefix
	Queue    *Queue
	Host     string // name of this host
	Dir      string // for lists, status and metrics
	Log      *slog.Logger

	Bans func(context.Context, func(control.Ban) error) error // calls the function for those that are in force, until it fails
	Ask  func(context.Context, *actions.Action, actions.Request) (more bool, err error)

	began  time.Time              // what was before is not told; zero: now
	former []actions.ActionStatus // of an engine before this one, by name
}

// Select selects exile's messages about bans. Nobody can forge the fields with an underscore; users are those that exiled may run as.
func Select(users []string) journal.Selector {
	ids := journal.Term{Field: "MESSAGE_ID"}
	for _, k := range []control.EventKind{control.BanNew, control.BanRemoved, control.BansRemoved} {
		ids.Values = append(ids.Values, announce.MessageID(k))
	}
	return journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"exiled.service"}}, {Field: "_UID", Values: users}, ids}}
}

// Engine tells actions what happened.
type Engine struct {
	Config
	pokes map[string]chan struct{} // by action: there is something new
	runs  context.Context          // of runs, which may take a little longer than the engine
	board *board
}

// New returns an engine.
func New(cfg Config) *Engine {
	e := &Engine{Config: cfg, pokes: map[string]chan struct{}{}, board: newBoard(cfg)}
	for _, a := range cfg.Actions {
		e.pokes[a.Name] = make(chan struct{}, 1)
	}
	return e
}

// Run works until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	var all, last sync.WaitGroup
	noting, end := context.WithCancel(context.WithoutCancel(ctx))
	last.Go(func() { e.board.run(noting) })
	var stop context.CancelFunc
	e.runs, stop = context.WithCancel(noting)
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, stop) })()
	for _, a := range e.Actions {
		w := worker{Engine: e, action: a, poke: e.pokes[a.Name]}
		if a.Kind.Mirrors() {
			all.Go(func() { w.mirror(ctx) })
		} else {
			all.Go(func() { w.tell(ctx) })
		}
	}
	e.follow(ctx)
	all.Wait()
	stop()
	end()
	last.Wait()
}

// grace is how long runs may take that have begun when the engine ends: what ends in time is not done again.
const grace = 10 * time.Second

// again is how long to wait before the journal is read again, or a queue, after an error.
const again = 10 * time.Second

// follow reads the journal from where it was read to.
func (e *Engine) follow(ctx context.Context) {
	start := e.began
	if start.IsZero() {
		start = time.Now()
	}
	for ctx.Err() == nil {
		from := journal.Start{Resume: e.Queue.Position()}
		if from.Resume.IsZero() {
			from.Since = start
		}
		err := e.Source.Follow(ctx, from, e.take)
		if ctx.Err() == nil {
			e.board.trouble(fmt.Sprintf("the journal cannot be followed: %v", err))
			e.Log.Error("Cannot follow the journal; trying again", "error", err)
			sleep(ctx, again)
		}
	}
}

// take puts the events of a batch into the queues. It fails if they cannot be written: then the batch is read again.
func (e *Engine) take(b journal.Batch) error {
	queues, dirty := map[string][]actions.Event{}, map[string]bool{}
	for i := range b.Entries {
		entry := &b.Entries[i]
		event, ok := announce.Read(entry.Time, entry.Fields)
		if entry.Replayed || !ok {
			continue
		}
		told := actions.NewEvent(identity(entry, &event), e.Host, event)
		for _, a := range e.Actions {
			switch {
			case !a.Wants(&event):
			case a.Kind.Mirrors():
				dirty[a.Name] = true
			default:
				queues[a.Name] = append(queues[a.Name], told)
			}
		}
		for _, name := range e.Broken { // what they want is seen when they are mended
			queues[name] = append(queues[name], told)
		}
	}
	for _, g := range b.Gaps {
		e.Log.Warn("Entries of the journal are missing", "kind", g.Kind, "entries", g.Entries, "error", g.Err)
	}
	dropped, err := e.Queue.Add(b.Position, queues)
	if err != nil {
		return fmt.Errorf("write the queues: %w", err)
	}
	e.board.moved(b.Position, b.Trouble)
	for name := range queues {
		if n := dropped[name]; n > 0 {
			e.board.lost(name, n, 0)
			e.Log.Warn("Dropped the oldest events: too many wait", "action", name, "events", n)
		}
		dirty[name] = true
	}
	for name := range dirty {
		poke(e.pokes[name])
	}
	return nil
}

// identity names an event. exiled tells of it again if it crashed meanwhile, and then the name is the same.
func identity(entry *journal.Entry, e *control.Event) string {
	text := entry.Position.String()
	if e.Ban.Prefix.IsValid() {
		text = fmt.Sprintln(e.Kind, e.Ban.Jail, e.Ban.Prefix, e.Ban.Since.UnixMicro(), e.Ban.Simulated)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has not seen the last one yet
	}
}

// sleep waits, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
