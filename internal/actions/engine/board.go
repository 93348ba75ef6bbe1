package engine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"exile/internal/actions"
	"exile/journal"
)

// board keeps the status, and writes it where exilectl and the metrics' reader find it. What happens reaches it as messages.
type board struct {
	dir     string
	log     *slog.Logger
	changes chan func(*actions.Status) // without room: what was noted is in the status

	queue  *Queue
	fixed  []string // problems that last
	status actions.Status
}

func newBoard(cfg Config) *board {
	b := &board{dir: cfg.Dir, log: cfg.Log, changes: make(chan func(*actions.Status)), queue: cfg.Queue, fixed: cfg.Problems}
	b.status.Problems = append([]string{}, cfg.Problems...)
	b.status.Actions = []actions.ActionStatus{}
	for _, a := range cfg.Actions {
		s := actions.ActionStatus{Name: a.Name, Kind: a.Kind}
		for _, f := range cfg.former {
			if f.Name == s.Name && f.Kind == s.Kind {
				s = f
			}
		}
		b.status.Actions = append(b.status.Actions, s)
	}
	return b
}

// written is how often it is written at most.
const written = time.Second

// run notes what happens until ctx ends, which must be after everybody else has.
func (b *board) run(ctx context.Context) {
	b.write()
	defer b.write()
	var due <-chan time.Time
	for {
		select {
		case change := <-b.changes:
			if change(&b.status); due == nil {
				due = time.After(written)
			}
		case <-due:
			due = nil
			b.write()
		case <-ctx.Done():
			return
		}
	}
}

func (b *board) write() {
	b.status.Written = time.Now()
	var err error
	for i := range b.status.Actions { // they also grow while their action waits
		a, unread := &b.status.Actions[i], error(nil)
		a.Waiting, unread = b.queue.Waiting(a.Name)
		err = errors.Join(err, unread)
	}
	data, unmade := json.Marshal(b.status)
	if err = errors.Join(err, unmade); err == nil {
		err = actions.WriteFile(filepath.Join(b.dir, actions.StatusFile), append(data, '\n'), 0o640)
	}
	if err == nil {
		err = actions.WriteFile(filepath.Join(b.dir, actions.MetricsFile), b.status.Metrics(), 0o644)
	}
	if err != nil {
		b.log.Warn("Cannot write the status", "error", err)
	}
}

// note passes a change on.
func (b *board) note(change func(*actions.Status)) { b.changes <- change }

// of notes a change of one action.
func (b *board) of(name string, change func(*actions.ActionStatus)) {
	b.note(func(s *actions.Status) {
		for i := range s.Actions {
			if s.Actions[i].Name == name {
				change(&s.Actions[i])
			}
		}
	})
}

func (b *board) done(name string) {
	now := time.Now()
	b.of(name, func(a *actions.ActionStatus) { a.Done, a.LastSuccess = a.Done+1, now })
}

func (b *board) failed(name string, err error) {
	now, text := time.Now(), actions.Clean(err.Error())
	b.of(name, func(a *actions.ActionStatus) { a.Failures, a.LastFailure, a.LastError = a.Failures+1, now, text })
}

// lost notes events that the action is not told of.
func (b *board) lost(name string, dropped, skipped int) {
	b.of(name, func(a *actions.ActionStatus) {
		a.Dropped, a.Skipped = a.Dropped+uint64(dropped), a.Skipped+uint64(skipped)
	})
}

// moved notes the position, and what keeps the journal from being read completely.
func (b *board) moved(p journal.Position, trouble error) {
	text := ""
	if trouble != nil {
		text = actions.Clean(trouble.Error())
	}
	b.note(func(s *actions.Status) { s.Position, s.Problems = p.String(), b.with(text) })
}

// trouble notes that the journal is not read.
func (b *board) trouble(text string) {
	text = actions.Clean(text)
	b.note(func(s *actions.Status) { s.Problems = b.with(text) })
}

// with returns the problems, and one more if there is one.
func (b *board) with(text string) []string {
	all := append([]string{}, b.fixed...)
	if text != "" {
		all = append(all, text)
	}
	return all
}
