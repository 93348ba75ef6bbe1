package engine

import (
	"context"
	"errors"
	"time"

	"exile/internal/actions"
	"exile/internal/control"
)

// worker has one action done, one run at a time.
type worker struct {
	*Engine
	action *actions.Action
	poke   <-chan struct{}

	attempts int       // runs for the oldest event
	budget   float64   // runs that may begin now
	counted  time.Time // when budget was right
	swept    time.Time // when addresses that were told of long ago were forgotten
}

// maxDigest is how many events a digest has at most.
const maxDigest = 1000

// tell tells the action of the events in its queue, oldest first, and in order: an unban never overtakes its ban.
func (w *worker) tell(ctx context.Context) {
	for ctx.Err() == nil {
		wait, err := w.step(ctx)
		if err != nil {
			w.Log.Error("Cannot use the queue; trying again", "action", w.action.Name, "error", err)
			wait = again
		}
		switch {
		case wait > 0:
			sleep(ctx, wait)
		case wait < 0:
			select {
			case <-ctx.Done():
			case <-w.poke:
			}
		}
	}
}

// step handles what is next in the queue, and returns how long to wait then; a negative time: until there is something new. The error is one
// of the queue.
func (w *worker) step(ctx context.Context) (wait time.Duration, err error) {
	most := 1
	if w.action.Mail.Digest > 0 {
		most = maxDigest
	}
	items, err := w.Queue.Head(w.action.Name, most)
	if err != nil || len(items) == 0 {
		return -1, err
	}
	if wait := time.Until(items[0].event.Event.Time.Add(w.action.Mail.Digest)); w.action.Mail.Digest > 0 && wait > 0 {
		return min(wait, w.action.Mail.Digest), nil
	}
	last := items[len(items)-1].number
	s, err := w.sift(items)
	if err != nil {
		return 0, err
	}
	if len(s.fresh) == 0 {
		return 0, w.settle(s, last)
	}
	if wait := w.limit(time.Now()); wait > 0 {
		return wait, nil
	}
	_, failed := w.Ask(w.runs, w.action, actions.Request{Action: w.action.Name, Events: s.fresh})
	if failed != nil && ctx.Err() != nil {
		return 0, nil // it is told again after the next start
	}
	if failed != nil {
		return w.failed(failed, s, last)
	}
	w.attempts = 0
	err = w.settle(s, last)
	w.board.done(w.action.Name)
	return 0, err
}

// Bounds of the memory of addresses that an action was told of.
const (
	sweep   = time.Minute // how often it is gone through
	maxTold = 100_000     // addresses
)

// sifted is what became of the oldest events of a queue.
type sifted struct {
	fresh            []actions.Event // the action is told of these
	told             []string        // their addresses, if it is told only once of each
	dropped, skipped int
}

// settle removes events, up to that number, from the queue.
func (w *worker) settle(s sifted, last uint64) error {
	err := w.Queue.Done(w.action.Name, last, s.told, time.Now())
	if err == nil {
		w.board.lost(w.action.Name, s.dropped, s.skipped)
	}
	return err
}

// sift drops events that are too old, and skips bans of addresses that the action was told of shortly before. Ends of bans it never skips: who
// was told of the ban would wait for it.
func (w *worker) sift(items []item) (s sifted, err error) {
	now, here := time.Now(), map[string]bool{}
	oldest := now.Add(-w.action.MaxAge - w.action.Mail.Digest)
	for _, it := range items {
		if it.event.ID != "" && !w.action.Wants(&it.event.Event) {
			continue // its file was mended, or changed
		}
		if it.event.ID == "" || it.event.Event.Time.Before(oldest) {
			s.dropped++
			continue
		}
		if address := it.event.Address(); w.action.Once > 0 && it.event.Event.Kind == control.BanNew {
			known, err := w.Queue.Told(w.action.Name, address, now.Add(-w.action.Once))
			if err != nil {
				return s, err
			}
			if known || here[address] {
				s.skipped++
				continue
			}
			here[address] = true
			s.told = append(s.told, address)
		}
		s.fresh = append(s.fresh, it.event)
	}
	if len(s.told) > 0 && now.Sub(w.swept) >= sweep {
		w.swept = now
		err = w.Queue.Forget(w.action.Name, now.Add(-w.action.Once), maxTold)
	}
	return s, err
}

// limit takes a run from what is allowed, or returns how long to wait until one is.
func (w *worker) limit(now time.Time) time.Duration {
	each := time.Minute / time.Duration(w.action.PerMinute)
	if w.counted.IsZero() {
		w.budget, w.counted = float64(w.action.PerMinute), now
	}
	w.budget = min(w.budget+float64(now.Sub(w.counted))/float64(each), float64(w.action.PerMinute))
	w.counted = now
	if w.budget < 1 {
		return max(time.Duration((1-w.budget)*float64(each)), time.Millisecond)
	}
	w.budget--
	return 0
}

// failed counts a failure, and drops the events if there is no hope.
func (w *worker) failed(failed error, s sifted, last uint64) (wait time.Duration, err error) {
	w.attempts++
	w.board.failed(w.action.Name, failed)
	reply, _ := errors.AsType[*actions.Reply](failed)
	if hopeless := reply != nil && reply.Permanent; !hopeless && w.attempts < w.action.Attempts {
		wait = pause(w.attempts)
		if reply != nil && reply.RetryAfter > 0 {
			wait = time.Duration(min(reply.RetryAfter, int(maxPause/time.Second))) * time.Second // a larger number would overflow
		}
		w.Log.Warn("Action failed; trying again", "action", w.action.Name, "attempt", w.attempts, "in", wait, "error", failed)
		return wait, nil
	}
	w.Log.Error("Action failed; giving up", "action", w.action.Name, "attempts", w.attempts, "events", len(s.fresh), "error", failed)
	w.attempts = 0
	s.dropped, s.told = s.dropped+len(s.fresh), nil
	return 0, w.settle(s, last)
}

// maxPause is how long a server may have us wait.
const maxPause = 24 * time.Hour

// pause is how long to wait after so many failures: 5 seconds, and each time four times as long, up to an hour.
func pause(failures int) time.Duration {
	return min(5*time.Second<<(2*min(failures-1, 10)), time.Hour)
}
