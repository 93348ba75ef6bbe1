package follow

import (
	"context"
	"errors"
	"time"

	"exile/journal"
	"exile/journal/journalfile"
)

// reader is one run of Follow: the files, where we are in each, and the batch that is being filled.
type reader struct {
	*Source
	from journal.Start
	emit func(journal.Batch) error

	known   map[key]*file
	open    []*file // of known, those that may have more for us
	scanned time.Time
	seen    journal.Position // where we were at the last scan
	fatal   error

	pos       journal.Position
	batch     []journal.Entry
	text      []byte
	gaps      []journal.Gap
	delivered int  // entries since the last wait
	started   bool // a batch with CaughtUp has been handed over
	toldPos   journal.Position
}

// drain delivers all that can be read now.
func (r *reader) drain(ctx context.Context) error {
	r.delivered = 0
	for _, f := range r.open {
		f.refresh(r)
	}
	for ctx.Err() == nil {
		f, next := r.first()
		if f == nil {
			r.finish()
			return nil
		}
		if err := r.take(ctx, f, next); err != nil {
			return err
		}
	}
	return nil
}

// first returns the file with the earliest entry that is not delivered, and the one with the next.
func (r *reader) first() (first, next *file) {
	for _, f := range r.open {
		switch {
		case !f.peek(r):
		case first == nil || r.before(f, first):
			first, next = f, first
		case next == nil || r.before(f, next):
			next = f
		}
	}
	return first, next
}

// take delivers entries of f while they come before those of next.
func (r *reader) take(ctx context.Context, f, next *file) error {
	for f.peek(r) && (next == nil || !r.before(next, f)) {
		if err := r.deliver(f); err != nil {
			return err
		}
		if r.full() {
			if err := r.flush(false); err != nil || ctx.Err() != nil {
				return err
			}
		}
	}
	return nil
}

// deliver adds the entry that f stands at to the batch.
func (r *reader) deliver(f *file) error {
	f.have = false
	at := f.cursor.Entry()
	pos := at.Position(f.header.SeqnumID)
	if pos.Boot == r.pos.Boot && pos.Monotonic == r.pos.Monotonic && pos.XorHash == r.pos.XorHash && pos.SeqnumID != r.pos.SeqnumID {
		return nil // copied from /run to /var, and read there before
	}
	replayed := f.cursor.Offset() <= f.replay
	if replayed && at.Realtime < r.since() {
		return nil
	}
	if !replayed {
		r.pos = pos
	}
	if f.cursor.Group() < max(1, len(r.cfg.Select)) {
		r.read(f, pos, replayed)
	}
	if !replayed {
		r.noteSuppressed(f)
	}
	return nil
}

func (r *reader) read(f *file, pos journal.Position, replayed bool) {
	var e journal.Entry
	text, whole, err := f.cursor.Read(&e, r.text, maxMessage)
	if err != nil {
		f.fail(r, err)
		return
	}
	r.text = text
	e.Position, e.Replayed = pos, replayed
	if !whole {
		r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapTruncated, File: f.path, Entries: 0, Since: e.Time, Until: e.Time})
	}
	r.batch = append(r.batch, e)
	r.delivered++
}

func (r *reader) full() bool {
	return len(r.batch) >= maxEntries || len(r.text) >= maxBytes || len(r.gaps) >= maxEntries
}

// worthTelling reports whether the caller should hear of us: entries or gaps, the end of the past, or a new position.
func (r *reader) worthTelling(since time.Duration) bool {
	return len(r.batch) > 0 || len(r.gaps) > 0 || !r.started || (since >= moved && r.pos != r.toldPos)
}

// flush hands the batch over.
func (r *reader) flush(caughtUp bool) error {
	b := journal.Batch{Entries: r.batch, Gaps: r.gaps, Position: r.pos, CaughtUp: caughtUp}
	err := r.emit(b)
	r.batch, r.text, r.gaps = r.batch[:0], r.text[:0], nil
	r.started = r.started || caughtUp
	r.toldPos = r.pos
	return err
}

// finish is called when everything has been read: the position moves over what did not match, and files that will not
// grow are put aside.
func (r *reader) finish() {
	var open []*file
	for _, f := range r.open {
		if last, ok := f.Last(); ok {
			if pos := last.Position(f.header.SeqnumID); r.pos.IsZero() || r.earlier(r.pos, pos) {
				r.pos = pos
			}
		}
		if !f.archived {
			open = append(open, f)
		} else if f.gone {
			f.close()
		}
	}
	r.open = open
}

func (r *reader) close() {
	for _, f := range r.known {
		f.close()
	}
	for _, f := range r.open {
		f.close()
	}
}

// since is the oldest time wanted, in µs.
func (r *reader) since() uint64 {
	if r.from.Since.IsZero() {
		return 0
	}
	return uint64(max(0, r.from.Since.UnixMicro()))
}

// before reports whether the entry that a stands at comes before that of b.
func (r *reader) before(a, b *file) bool {
	x, y := a.cursor.Entry(), b.cursor.Entry()
	return r.earlier(x.Position(a.header.SeqnumID), y.Position(b.header.SeqnumID))
}

// earlier is the order of entries: the writer's numbers; in one boot, its clock; the running boot is the newest; and only
// then the time of day.
func (r *reader) earlier(a, b journal.Position) bool {
	switch {
	case a.SeqnumID == b.SeqnumID:
		return a.Seqnum < b.Seqnum
	case a.Boot == b.Boot:
		return a.Monotonic < b.Monotonic
	case a.Boot == r.cfg.Boot || b.Boot == r.cfg.Boot:
		return b.Boot == r.cfg.Boot
	default:
		return a.Realtime < b.Realtime
	}
}

func unsupported(err error) bool { return errors.Is(err, journalfile.ErrUnsupported) }
