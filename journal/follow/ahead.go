package follow

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"exile/journal"
)

// ahead is what another goroutine reads from an archived file while earlier entries are delivered: a run of entries that only
// have to be delivered.
type ahead struct {
	entries []journal.Entry
	text    []byte // their messages
	next    int    // the first that is not delivered
	stands  bool   // after them the cursor is at one that is not delivered
	err     error  // instead of an entry
}

// Bounds of what is read ahead, 2 MB for each reader: a text that grew leaves five times its length to the entries.
const (
	maxAhead     = 2048      // entries
	maxAheadText = 256 << 10 // bytes of their messages
	maxReaders   = 4
)

// read reads the entry at the cursor and those after it, up to the limits and until ctx ends. What it uses of r does not
// change meanwhile.
func (a *ahead) read(ctx context.Context, r *reader, f *file) {
	*a = ahead{entries: a.entries[:0], text: a.text[:0], stands: true}
	for a.stands && ctx.Err() == nil && len(a.entries) < maxAhead && len(a.text) < maxAheadText && a.take(r, f) {
		a.stands, a.err = f.cursor.Next()
	}
}

// take reads the entry at the cursor, if it is an ordinary one. Any other is handled when its turn comes.
func (a *ahead) take(r *reader, f *file) bool {
	replayed := f.cursor.Offset() <= f.replay
	if f.cursor.Holds(len(r.sel)-1) || replayed && f.cursor.Entry().Realtime < r.since() {
		return false
	}
	a.entries = append(a.entries, journal.Entry{})
	e := &a.entries[len(a.entries)-1]
	text, whole, err := f.cursor.Read(e, a.text, maxMessage)
	if err != nil || !whole {
		a.entries = a.entries[:len(a.entries)-1]
		return false
	}
	a.text = text
	f.locate(&e.Position)
	e.Replayed = replayed
	f.fields(e, r.cfg.Prefix)
	return true
}

// begin looks for the first entry of each archived file, on all processors since there may be hundreds, and puts the files in
// the order in which they will be read.
func (r *reader) begin() {
	r.line = r.line[:0]
	for _, f := range r.open {
		if f.archived && f.placed && !f.have && f.damaged < maxDamage {
			r.line = append(r.line, f)
		}
	}
	if len(r.line) < 2 || r.readers == 0 {
		return
	}
	var all errgroup.Group
	all.SetLimit(r.readers)
	for _, f := range r.line {
		f.ahead = &ahead{}
		all.Go(func() error {
			f.ahead.stands, f.ahead.err = f.cursor.Next()
			return nil // peek says what becomes of it
		})
	}
	_ = all.Wait()
	r.line = slices.DeleteFunc(r.line, func(f *file) bool { return !f.peek(r) })
	slices.SortFunc(r.line, func(a, b *file) int { return r.compare(&a.pos, &b.pos) })
}

// readAhead starts reading the files that come next, one on each processor.
func (r *reader) readAhead(ctx context.Context) {
	for len(r.line) > 0 && r.reading() < r.readers {
		f := r.line[0]
		r.line = r.line[1:]
		if f.have {
			r.start(ctx, f)
		}
	}
}

// reading counts the files that are being read ahead, or have undelivered entries of that.
func (r *reader) reading() (n int) {
	for _, f := range r.open {
		if f.coming != nil || f.ahead != nil {
			n++
		}
	}
	return n
}

// start starts a goroutine that reads from the file, and owns it until settle.
func (r *reader) start(ctx context.Context, f *file) {
	a, coming := &ahead{}, make(chan *ahead, 1)
	if n := len(r.spare) - 1; n >= 0 {
		a, r.spare = r.spare[n], r.spare[:n]
	}
	f.coming = coming
	go func() {
		a.read(ctx, r, f)
		coming <- a
	}()
}

// settle waits for the goroutine that reads from the file, if there is one.
func (f *file) settle() {
	if f.coming != nil {
		f.ahead, f.coming = <-f.coming, nil
	}
}

// step goes to the next entry, and reports whether there is one.
func (f *file) step(r *reader) (ok bool, err error) {
	switch a := f.ahead; {
	case a == nil:
		ok, err = f.cursor.Next()
	case a.next < len(a.entries):
		f.pos = a.entries[a.next].Position
		return true, nil
	default:
		ok, err = a.stands, a.err
		r.drop(f)
	}
	if ok {
		f.locate(&f.pos)
	}
	return ok, err
}

// taken returns the current entry of f if it was read ahead, or nil if the cursor is at it.
func (r *reader) taken(f *file) *journal.Entry {
	f.settle()
	a := f.ahead
	if a == nil {
		return nil
	}
	if len(a.entries) == 0 {
		r.drop(f)
		return nil
	}
	a.next++
	return &a.entries[a.next-1]
}

// drop drops what was read ahead of f, and keeps the memory for reuse.
func (r *reader) drop(f *file) {
	if cap(f.ahead.entries) > 0 {
		r.spare = append(r.spare, f.ahead)
	}
	f.ahead = nil
}
