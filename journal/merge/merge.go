// Package merge makes one source of several: in the order of time while there is much to read, then as entries come.
package merge

import (
	"context"
	"errors"
	"slices"
	"time"

	"exile/journal"
)

// Source is several sources as one. The position of a batch covers all of them; that of an entry only its own.
type Source struct {
	sources []journal.Source
	since   time.Time // where those begin that have no position yet
}

var _ journal.Source = (*Source)(nil)

// New returns the source of these.
func New(sources ...journal.Source) *Source { return &Source{sources: sources} }

// patience is how long entries wait for older ones of another source, once all sources have been read to their end: no source, however busy or
// stuck it is, and no stamp in the future keeps the others from being heard.
const patience = time.Second

// Follow is the method of [journal.Source]. It fails when one of the sources does; what the others had read by then is delivered before.
func (s *Source) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	if len(s.sources) == 0 {
		<-ctx.Done()
		return nil
	}
	places, err := split(from.Resume, len(s.sources))
	if err != nil {
		return err
	}
	if !from.Since.IsZero() {
		s.since = from.Since
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &merger{emit: emit, arrivals: make(chan arrival)}
	for i, source := range s.sources {
		start := journal.Start{Resume: places[i], Since: from.Since}
		if places[i].IsZero() {
			start.Since = s.since
		}
		m.parts = append(m.parts, part{position: places[i]})
		go func() { m.end(i, source.Follow(ctx, start, func(b journal.Batch) error { return m.hand(ctx, i, b) })) }()
	}
	err = m.run(ctx)
	cancel()
	m.settle()
	return err
}

// merger is one run of Follow.
type merger struct {
	emit     func(journal.Batch) error
	arrivals chan arrival
	parts    []part
	ended    int // sources that have
	failed   error
	out      []journal.Entry
	live     bool // all sources have been read to their end once
}

// part is one of the sources.
type part struct {
	held     *arrival         // its batch that is not delivered to its end; nil: none
	since    time.Time        // when that came
	next     int              // the first entry of held that is not in out
	position journal.Position // of its last batch that was delivered to its end
	trouble  error            // likewise
	caughtUp bool             // likewise
}

// arrival is a batch of a source, or its end if done is nil.
type arrival struct {
	from  int
	batch journal.Batch
	done  chan struct{} // closed when the buffers of the batch may be reused
	err   error
}

// hand passes a batch of a source to run, and waits until it was delivered.
func (m *merger) hand(ctx context.Context, from int, b journal.Batch) error {
	a := arrival{from: from, batch: b, done: make(chan struct{})}
	select {
	case m.arrivals <- a:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-a.done
	return nil
}

func (m *merger) end(from int, err error) { m.arrivals <- arrival{from: from, err: err} }

// run delivers until ctx ends, a source fails, or emit does.
func (m *merger) run(ctx context.Context) error {
	for {
		for m.waiting() {
			m.await()
		}
		if err := m.deliver(); err != nil {
			return err
		}
		if m.ended > 0 && !m.holding() { // all that was read is delivered
			if ctx.Err() != nil {
				return nil
			}
			return m.failed
		}
	}
}

// waiting reports whether nothing can be delivered before one more batch comes: what comes next in time may be in it. When a source has ended
// nobody waits for the others.
func (m *merger) waiting() bool {
	if m.ended > 0 {
		return false
	}
	switch {
	case !m.holding():
		return true
	case m.live && time.Since(m.oldest()) >= patience:
		return false
	}
	return slices.ContainsFunc(m.parts, func(p part) bool { return p.held == nil && !p.caughtUp })
}

func (m *merger) holding() bool {
	return slices.ContainsFunc(m.parts, func(p part) bool { return p.held != nil })
}

// await takes what comes next, unless something that is held has waited long enough.
func (m *merger) await() {
	var over <-chan time.Time
	if m.live && m.holding() {
		over = time.After(time.Until(m.oldest().Add(patience)))
	}
	select {
	case a := <-m.arrivals:
		m.take(a)
	case <-over:
	}
}

// oldest returns since when a batch is held at most.
func (m *merger) oldest() (at time.Time) {
	for i := range m.parts {
		if p := &m.parts[i]; p.held != nil && (at.IsZero() || p.since.Before(at)) {
			at = p.since
		}
	}
	return at
}

// take notes what came from a source.
func (m *merger) take(a arrival) {
	p := &m.parts[a.from]
	if a.done == nil {
		m.ended++
		m.failed = errors.Join(m.failed, a.err)
		return
	}
	p.held, p.next, p.since = &a, 0, time.Now()
}

// deliver puts the entries of the batches in order of time, until one batch is at its end, and delivers that.
func (m *merger) deliver() error {
	m.out = m.out[:0]
	first := m.first()
	for ; first != nil && first.next < len(first.held.batch.Entries); first = m.first() {
		m.out = append(m.out, first.held.batch.Entries[first.next])
		first.next++
	}
	if first == nil {
		return nil
	}
	done := first.held
	m.finish(first)
	m.live = m.live || m.caughtUp()
	all := journal.Batch{
		Entries: m.out, Gaps: done.batch.Gaps, Position: join(m.parts), CaughtUp: m.caughtUp(), Trouble: m.trouble(), Undated: done.batch.Undated,
	}
	err := m.emit(all)
	close(done.done)
	return err
}

// first returns the part with the oldest entry, or one whose batch is at its end; nil if none holds a batch.
func (m *merger) first() (first *part) {
	for i := range m.parts {
		p := &m.parts[i]
		switch {
		case p.held == nil:
		case p.next == len(p.held.batch.Entries):
			return p
		case first == nil || p.at().Before(first.at()):
			first = p
		}
	}
	return first
}

func (p *part) at() time.Time { return p.held.batch.Entries[p.next].Time }

// finish notes that the batch of a part is at its end.
func (m *merger) finish(p *part) {
	b := &p.held.batch
	if !b.Position.IsZero() {
		p.position = b.Position
	}
	p.trouble, p.caughtUp, p.held = b.Trouble, b.CaughtUp, nil
}

func (m *merger) caughtUp() bool {
	return !slices.ContainsFunc(m.parts, func(p part) bool { return !p.caughtUp || p.held != nil })
}

func (m *merger) trouble() error {
	var all []error
	for i := range m.parts {
		all = append(all, m.parts[i].trouble)
	}
	return errors.Join(all...)
}

// settle waits until all sources have ended. Batches that they hand over are dropped: their positions were not delivered.
func (m *merger) settle() {
	for i := range m.parts {
		if held := m.parts[i].held; held != nil {
			close(held.done)
		}
	}
	for m.ended < len(m.parts) {
		a := <-m.arrivals
		if a.done == nil {
			m.ended++
			continue
		}
		close(a.done)
	}
}
