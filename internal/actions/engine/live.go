package engine

import (
	"context"
	"sync"
	"time"

	"exile/internal/actions"
)

// Files are the actions of the host.
type Files struct {
	Actions  []*actions.Action
	Broken   []string // names of actions whose files have mistakes: events wait for them
	Problems []string // what is wrong with those
}

// Watched are files that may change while an engine runs.
type Watched struct {
	Version func() string         // differs once one of the files has changed
	Load    func() (Files, error) // after an error the former are used
}

// look is how often files are looked at. They are read if they are the same as at the look before: nobody is writing them any more.
const look = 5 * time.Second

// Live tells the actions of these files what happens, and those of changed files once they have changed, until ctx ends. Each change is a new
// engine with the same queues: what waits is told as the new file says, and nothing that happens meanwhile is missed.
func Live(ctx context.Context, cfg Config, first Files, w Watched) {
	cfg.began = time.Now()
	inForce := w.Version()
	for files := &first; files != nil; {
		cfg.Actions, cfg.Broken, cfg.Problems = files.Actions, files.Broken, files.Problems
		e := New(cfg)
		files = e.runUntil(ctx, func(running context.Context) *Files { return w.next(running, &inForce, e) })
		cfg.former = e.board.status.Actions
	}
}

// runUntil runs the engine until there are other files, which it returns; nil: ctx has ended.
func (e *Engine) runUntil(ctx context.Context, wait func(context.Context) *Files) (next *Files) {
	running, end := context.WithCancel(ctx)
	defer end()
	var waiting sync.WaitGroup
	waiting.Go(func() {
		next = wait(running)
		end()
	})
	e.Run(running)
	waiting.Wait()
	return next
}

// next waits for other files than those that are in force, and returns them; nil: ctx has ended.
func (w *Watched) next(ctx context.Context, inForce *string, e *Engine) *Files {
	last := *inForce
	for sleep(ctx, look) {
		now := w.Version()
		if now != last || now == *inForce {
			last = now
			continue
		}
		*inForce = now
		files, err := w.Load()
		if err != nil {
			e.Log.Error("Cannot read the changed actions; the former ones stay in force", "error", err)
			continue
		}
		e.Log.Info("The files of actions have changed", "actions", len(files.Actions), "broken", len(files.Broken))
		return &files
	}
	return nil
}
