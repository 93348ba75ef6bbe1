package follow

import (
	"context"
	"math"
	"slices"
	"time"

	"exile/journal"
)

// reader is one run of Follow: the files, where we are in each, and the batch that is being filled.
type reader struct {
	*Source
	from journal.Start
	emit func(journal.Batch) error

	known    map[key]*file
	open     []*file                    // of known files and of those gone: those that may have more entries
	tails    map[journal.ID]journalTail // of files that are gone
	told     map[string]string          // errors that have been reported, by path
	trouble  error                      // what kept us from reading a file, or a directory, at the last look
	troubled error                      // likewise, in the last batch
	scanned  time.Time                  // when we last looked for files
	scannedP journal.Position           // and where we were then
	placed   int                        // files with entries so far
	met      bool                       // one of them knows the position that we resume from
	fatal    error                      // why we must end once all is read

	line    []*file  // archived ones that may be read ahead, in order
	spare   []*ahead // not in use
	readers int      // that may read ahead at once

	pos       journal.Position
	toldPos   journal.Position // of the last batch
	batch     []journal.Entry
	text      []byte
	gaps      []journal.Gap
	delivered int  // entries since the last wait
	caughtUp  bool // the last batch said so
	started   bool // a batch has said so
}

// drain delivers all that can be read now.
func (r *reader) drain(ctx context.Context) error {
	r.delivered = 0
	r.refresh()
	r.begin()
	for ctx.Err() == nil {
		f, next := r.first()
		if f == nil {
			r.finish()
			return nil
		}
		r.readAhead(ctx)
		if err := r.take(ctx, f, next); err != nil {
			return err
		}
	}
	return nil
}

// refresh looks for new entries in all files. With the journals of users, entries of one writer are in several files, and we
// may see a later one before an earlier one; but a second look sees all that precede one that the first look saw.
func (r *reader) refresh() {
	for _, f := range r.open {
		f.limit = math.MaxUint64
		f.refresh(r)
	}
	r.place()
	if !r.cfg.AllUsers || len(r.open) < 2 {
		return
	}
	limit := make(map[journal.ID]uint64)
	for _, f := range r.open {
		if last, ok := f.Last(); ok {
			limit[f.header.SeqnumID] = max(limit[f.header.SeqnumID], last.Seqnum)
		}
	}
	for _, f := range r.open {
		f.limit = limit[f.header.SeqnumID]
		f.refresh(r)
	}
}

// ready reports whether the current entry of f may be delivered.
func (r *reader) ready(f *file) bool {
	return f.peek(r) && f.pos.Seqnum <= f.limit
}

// first returns the file with the earliest entry that is not delivered, and the one with the next.
func (r *reader) first() (first, next *file) {
	for _, f := range r.open {
		switch {
		case !r.ready(f):
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
	var bound journal.Position
	if next != nil {
		bound = next.pos
	}
	for r.ready(f) {
		if next != nil && r.earlier(&bound, &f.pos) {
			return nil
		}
		r.deliver(f, &f.pos)
		if !r.full() {
			continue
		}
		if err := r.flush(false); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// deliver adds the current entry of f to the batch.
func (r *reader) deliver(f *file, pos *journal.Position) {
	f.have = false
	e := r.taken(f)
	switch {
	case copied(pos, &r.pos):
	case e != nil:
		r.add(e)
		if !e.Replayed {
			r.pos = *pos
		}
	default:
		r.deliverCurrent(f, pos)
	}
}

// deliverCurrent is deliver if the cursor is at the entry.
func (r *reader) deliverCurrent(f *file, pos *journal.Position) {
	replayed := f.cursor.Offset() <= f.replay
	if replayed && pos.Realtime < r.since() {
		return
	}
	if f.cursor.Group() < len(r.sel)-1 {
		r.read(f, pos, replayed)
	}
	if replayed {
		return
	}
	r.pos = *pos
	if f.cursor.Holds(len(r.sel) - 1) {
		r.gaps = append(r.gaps, suppressedGap(f))
	}
}

// add copies an entry that was read ahead into the batch.
func (r *reader) add(e *journal.Entry) {
	start := len(r.text)
	r.text = append(r.text, e.Message...)
	r.batch = append(r.batch, *e)
	r.batch[len(r.batch)-1].Message = r.text[start:len(r.text):len(r.text)]
	r.delivered++
}

// copied reports whether a is an entry that was delivered under another number, up to b: journald copies what it wrote to /run
// once /var is there. All files belong to one journald, so within a boot its clock orders them.
func copied(a, b *journal.Position) bool {
	return a.SeqnumID != b.SeqnumID && a.Boot == b.Boot && a.Monotonic <= b.Monotonic
}

func (r *reader) read(f *file, pos *journal.Position, replayed bool) {
	r.batch = slices.Grow(r.batch, 1)[:len(r.batch)+1]
	e := &r.batch[len(r.batch)-1]
	text, whole, err := f.cursor.Read(e, r.text, maxMessage)
	if err != nil {
		r.batch = r.batch[:len(r.batch)-1]
		f.fail(r, err)
		return
	}
	r.text = text
	e.Position, e.Replayed = *pos, replayed
	f.fields(e, r.cfg.Prefix)
	if !whole {
		r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapTruncated, File: f.path, Unit: e.Unit, Since: e.Time, Until: e.Time})
	}
	r.delivered++
}

func (r *reader) full() bool {
	return len(r.batch) >= maxEntries || len(r.text) >= maxBytes || len(r.gaps) >= maxEntries
}

// worthTelling reports whether there is something to deliver: entries or gaps, that we have caught up, or a new position.
func (r *reader) worthTelling(since time.Duration) bool {
	return len(r.batch) > 0 || len(r.gaps) > 0 || !r.caughtUp || !same(r.trouble, r.troubled) || (since >= moved && r.pos != r.toldPos)
}

// flush delivers the batch.
func (r *reader) flush(caughtUp bool) error {
	b := journal.Batch{Entries: r.batch, Gaps: r.gaps, Position: r.pos, CaughtUp: caughtUp, Trouble: r.trouble}
	err := r.emit(b)
	r.troubled = r.trouble
	r.batch, r.text, r.gaps = r.batch[:0], r.text[:0], nil
	r.started, r.caughtUp, r.toldPos = r.started || caughtUp, caughtUp, r.pos
	return err
}

// same reports whether two errors say the same.
func same(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}

// finish is called when everything was read: it moves the position over what did not match, and puts aside files that will
// not grow.
func (r *reader) finish() {
	held := slices.ContainsFunc(r.open, func(f *file) bool { return f.have })
	for _, f := range r.open {
		f.settle()
		if last, ok := f.Last(); ok && !held {
			if pos := last.Position(f.header.SeqnumID); r.pos.IsZero() || r.earlier(&r.pos, &pos) {
				r.pos = pos
			}
		}
	}
	r.open = slices.DeleteFunc(r.open, func(f *file) bool {
		done := f.archived && !f.have
		if done && f.gone {
			f.close()
		}
		return done
	})
	r.spare = nil // reading ahead only happens at the start
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

// before reports whether the current entry of a precedes that of b.
func (r *reader) before(a, b *file) bool { return r.earlier(&a.pos, &b.pos) }

func (r *reader) compare(a, b *journal.Position) int {
	switch {
	case r.earlier(a, b):
		return -1
	case r.earlier(b, a):
		return 1
	default:
		return 0
	}
}

// earlier is the order of entries: the writer's numbers; in one boot, its clock; the running boot is the newest; and only
// then the time of day, which may be wrong.
func (r *reader) earlier(a, b *journal.Position) bool {
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
