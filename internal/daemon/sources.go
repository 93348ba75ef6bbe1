package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"exile/internal/control"
	"exile/internal/state"
	"exile/journal"
)

// sources are the sources of the plan at work. Their goroutines hand what they read to the loop.
type sources struct {
	batches  chan delivery
	failures chan failure
	running  map[string]*running // by name; nil: they have not begun yet
	stop     func()              // ends them, and the background work of the plan
	lost     bool                // the state with their positions was lost, and they have not begun yet
	informed bool                // all have been read to their end once
	sessions []control.Session   // that began before the logs and that the jails do not know yet
}

// running is a source at work.
type running struct {
	Source
	position journal.Position
	low      time.Time  // the oldest entry that its counters need
	boot     journal.ID // of its last entry
	first    time.Time  // of the first entry that was read; zero: none yet
	begun    time.Time  // of the first look at it; zero: it was read before
	caughtUp bool
	late     time.Time // when an entry was last read long after it was logged
	trouble  error     // why it cannot read everything; nil: it can
	undated  bool      // it has had lines without a readable time
}

// delivery is a batch on its way to the loop; done is closed when its buffers may be reused.
type delivery struct {
	from  *running
	batch journal.Batch
	done  chan struct{}
}

// failure is the unexpected end of a source.
type failure struct {
	from *running
	err  error
}

func newSources() sources {
	return sources{batches: make(chan delivery), failures: make(chan failure)}
}

// exchange replaces the sources by those of a plan, each at its mark.
func (s *sources) exchange(plan []Source, marks map[string]state.Mark) {
	before := s.running
	s.running = make(map[string]*running, len(plan))
	for _, of := range plan {
		mark := markOf(of, marks)
		r := &running{Source: of, position: mark.Position, low: mark.Low}
		r.begun = s.firstLook(r, before[of.Name])
		s.running[of.Name] = r
	}
	s.lost = false
}

// markOf returns how far a source is: where it was or, if it is new, where the source was that it takes over from.
func markOf(of Source, marks map[string]state.Mark) state.Mark {
	mark, known := marks[of.Name]
	if former, ok := marks[of.Former]; ok && !known && of.Former != "" && !former.Position.IsZero() {
		return state.Mark{Position: of.From(former.Position), Low: former.Low}
	}
	return mark
}

// firstLook returns now for a source that was never read before, and zero for one that goes on or whose state is lost. A reload does not end a
// first look.
func (s *sources) firstLook(r, before *running) time.Time {
	switch {
	case s.lost:
		return time.Time{}
	case before != nil:
		return before.begun
	case r.position.IsZero():
		return time.Now()
	}
	return time.Time{}
}

// longestWait is the longest pause before a failed source is tried again: trying costs little.
const longestWait = 15 * time.Second

// follow runs a source until ctx ends, and restarts it when it fails.
func (s *sources) follow(ctx context.Context, r *running, start journal.Start) {
	for wait := time.Second; ; wait = min(2*wait, longestWait) {
		err := r.Follow(ctx, start, func(b journal.Batch) error {
			wait = time.Second
			if !b.Position.IsZero() {
				start = journal.Start{Resume: b.Position}
			}
			return s.deliver(ctx, r, b)
		})
		if ctx.Err() != nil {
			return
		}
		select {
		case s.failures <- failure{r, err}:
		case <-ctx.Done():
			return
		}
		sleep(ctx, wait)
	}
}

// deliver passes a batch to the loop and waits until the loop is done with it.
func (s *sources) deliver(ctx context.Context, r *running, b journal.Batch) error {
	dl := delivery{from: r, batch: b, done: make(chan struct{})}
	select {
	case s.batches <- dl:
		<-dl.done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// caughtUp reports whether the logs have been read to their end; the sessions are known then.
func (s *sources) caughtUp() bool {
	if s.running == nil {
		return false // not yet
	}
	for _, r := range s.running {
		if !r.caughtUp {
			return false
		}
	}
	return true
}

// readAgain notes that new jails have to read the logs first.
func (s *sources) readAgain() {
	for _, r := range s.running {
		r.caughtUp = false
	}
}

// inform notes that the logs have been read to their end, and reports whether that is news.
func (s *sources) inform() bool {
	if s.informed || !s.caughtUp() {
		return false
	}
	s.informed = true
	return true
}

// marks returns how far the sources are.
func (s *sources) marks() map[string]state.Mark {
	marks := make(map[string]state.Mark, len(s.running))
	for name, r := range s.running {
		if !r.position.IsZero() {
			marks[name] = state.Mark{Position: r.position, Low: r.low}
		}
	}
	return marks
}

// position returns the position of the first source that has one: the journal or, without one, a text log.
func (s *sources) position(plan []Source) string {
	for _, of := range plan {
		if r := s.running[of.Name]; r != nil && !r.position.IsZero() {
			return r.position.String()
		}
	}
	return ""
}

// troubles returns why sources cannot read everything, in the order of the plan.
func (s *sources) troubles(plan []Source) (all []string) {
	for _, of := range plan {
		if r := s.running[of.Name]; r != nil && r.trouble != nil {
			all = append(all, fmt.Sprintf("%s: %v", of.Name, r.trouble))
		}
	}
	return all
}

// announceSessions tells the jails of the sessions that began before their log, once they have read it: the log may say that a session has
// ended. Without any source it waits for one.
func (s *sources) announceSessions() {
	if len(s.running) == 0 || !s.caughtUp() {
		return
	}
	for _, r := range s.running {
		for _, j := range r.Jails {
			for _, one := range s.sessions {
				j.Sessions().Open(r.boot, one.Leader, one.User, one.From, one.Since)
			}
		}
	}
	s.sessions = nil
}

// progress says for STATUS= how far the sources are that have not been read to their end.
func (s *sources) progress() string {
	var text strings.Builder
	for _, r := range s.running {
		if at := r.position.Time(); !r.caughtUp && !r.first.IsZero() && !at.IsZero() { // a text log has no time before its first dated line
			fmt.Fprintf(&text, "; %s read to %s (%d %%)", r.Name, at.Format("2006-01-02 15:04"), r.progress(time.Now()))
		}
	}
	return text.String()
}

// progress returns how much of the time between its first entry and now a source has read, in percent.
func (r *running) progress(now time.Time) int {
	whole := now.Sub(r.first)
	if whole <= 0 {
		return 100
	}
	return int(min(max(100*r.position.Time().Sub(r.first)/whole, 0), 100))
}

// move notes that everything up to p has been handled.
func (r *running) move(p journal.Position) {
	r.position = p
	if at := p.Time(); !at.IsZero() {
		if r.first.IsZero() {
			r.first = at
		}
		r.low = r.Source.low(at)
	}
}
