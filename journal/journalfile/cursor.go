package journalfile

import (
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"exile/journal"
)

// tail is how many entries at the end of a file are looked at one by one: journald links an entry into the list of all
// first and into those of its fields a little later, or never if it is killed.
const tail = 64

// Cursor walks the entries of a file that match, in both directions. It begins before the first entry.
type Cursor struct {
	f     *File
	m     *Match
	walks []walk
	built bool
	dir   int    // in which direction the walks are set up
	at    uint64 // offset of the current entry, or an offset between two entries
	entry Entry
	group int
	raw   []byte    // the current entry's items, as they are in the file: offsets of data objects
	words []word    // what the items mean, where that is known
	means []meaning // likewise, for those that mean anything
	buf   []byte    // what Data returned last
}

// walk is a place in a list.
type walk struct {
	l    *list
	from uint64 // earlier entries of the list belong to another walk
	i    uint64 // forward: the next to look at; backward: one more than that
	off  uint64 // offset of the entry there; 0: not looked up
}

// Cursor returns a cursor for the entries that match m, which must be this file's; nil for all entries.
func (f *File) Cursor(m *Match) *Cursor {
	if m == nil {
		m = &Match{f: f}
	}
	return &Cursor{f: f, m: m}
}

// SeekHead goes before the first entry.
func (c *Cursor) SeekHead() { c.at, c.dir, c.built = 0, 0, false }

// SeekTail goes after the last entry that Len counts.
func (c *Cursor) SeekTail() (err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	c.SeekHead()
	if c.f.main.n > 0 {
		c.at, err = c.f.at(&c.f.main, c.f.main.n-1)
		c.at++ // objects are aligned: no entry is there, and later ones follow
	}
	return err
}

// SeekOffset goes to where Offset was, as if the entry there were the current one.
func (c *Cursor) SeekOffset(off uint64) { c.at, c.dir, c.built = off, 0, false }

// SeekSeqnum goes before the first entry whose sequence number is at least n.
func (c *Cursor) SeekSeqnum(n uint64) error {
	return c.seek(&c.f.main, func(e []byte) bool { return le64(e, 16) >= n })
}

// SeekRealtime goes before the first entry that was received at usec (µs since 1970) or later. If the clock was set back
// within the file, it is one of the possible places.
func (c *Cursor) SeekRealtime(usec uint64) error {
	h, err := c.f.Header()
	switch { // most files are older as a whole, or newer: then no entry needs to be read
	case err != nil:
		return err
	case usec <= h.HeadRealtime:
		c.SeekHead()
		return nil
	case usec > h.TailRealtime:
		return c.SeekTail()
	}
	return c.seek(&c.f.main, func(e []byte) bool { return le64(e, 24) >= usec })
}

// SeekMonotonic goes before the first entry of the boot that was received at usec (µs) or later; if there is none, after
// the boot's last one. If the file has no entry of that boot, found is false and the cursor stays.
func (c *Cursor) SeekMonotonic(boot journal.ID, usec uint64) (found bool, err error) {
	l, err := c.bootList(boot)
	if err != nil || l.n == 0 {
		return false, err
	}
	err = c.seek(&l, func(e []byte) bool { return le64(e, 32) >= usec })
	return true, err
}

func (c *Cursor) bootList(boot journal.ID) (l list, err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	off, err := c.f.findData([]byte("_BOOT_ID=" + boot.String()))
	if err != nil || off == 0 {
		return list{}, err
	}
	return c.f.postings(off)
}

// seek goes before the first entry of l for which ok holds, or after the last.
func (c *Cursor) seek(l *list, ok func(e []byte) bool) (err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	i := c.f.search(l, 0, c.f.isEntry(ok))
	c.dir, c.built, c.at = 0, false, 0
	// Objects are aligned: between two entries there is always a place.
	if i < l.n {
		c.at, err = c.f.at(l, i)
		c.at = max(c.at, 1) - 1
	} else if l.n > 0 {
		c.at, err = c.f.at(l, l.n-1)
		c.at++
	}
	return err
}

// Next goes to the next matching entry and reports whether there is one. At the end it stays at the last entry: after
// Refresh it may be called again. If it returns an error, it skipped an entry or a list that cannot be read; unless the error
// is ErrUnreadable, the next call goes on after it.
func (c *Cursor) Next() (ok bool, err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	return c.step(+1)
}

// Previous goes to the matching entry before the current one and reports whether there is one. Errors are as with Next.
func (c *Cursor) Previous() (ok bool, err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	return c.step(-1)
}

func (c *Cursor) step(dir int) (bool, error) {
	if err := c.prepare(dir); err != nil {
		return false, err
	}
	for {
		off, err := c.advance()
		if off == 0 || err != nil {
			c.f.win.forget()
			return false, err
		}
		c.at = off
		if dir > 0 {
			c.f.prime(off)
		}
		b, err := c.f.entry(off)
		if err != nil {
			return false, err
		}
		if g := c.m.group(b[entryItems:]); g >= 0 {
			c.take(b, g)
			return true, nil
		}
	}
}

// take makes b the current entry. Items are in the order of their offsets, so recurring ones are at the same place in
// every entry: their meaning is kept.
func (c *Cursor) take(b []byte, group int) {
	c.entry.parse(b)
	c.group = group
	b = b[entryItems:]
	size := int(c.f.entryItemSize())
	n := len(b) / size
	if n > len(c.words) {
		c.raw = append(c.raw, make([]byte, n*size-len(c.raw))...)
		c.words = append(c.words, make([]word, n-len(c.words))...)
		c.means = append(c.means, make([]meaning, n-len(c.means))...)
	}
	c.raw, c.words, c.means = c.raw[:n*size], c.words[:n], c.means[:n]
	c.compare(b)
	copy(c.raw, b)
}

// compare forgets the meaning of the items that differ from those of the previous entry. It compares two compact items at
// once: most stay the same.
func (c *Cursor) compare(now []byte) {
	old, stride, each := c.raw, 8, 2
	if !c.f.compact {
		stride, each = 16, 1
	}
	for i := 0; i < len(c.words); i += each {
		if len(old) < stride || len(now) < stride { // the last one of an odd number
			c.words[i] = unseen
			return
		}
		diff := binary.LittleEndian.Uint64(old) ^ binary.LittleEndian.Uint64(now)
		old, now = old[stride:], now[stride:]
		switch {
		case diff == 0:
		case each == 1:
			c.words[i] = unseen
		default:
			if uint32(diff) != 0 {
				c.words[i] = unseen
			}
			if diff>>32 != 0 && i+1 < len(c.words) {
				c.words[i+1] = unseen
			}
		}
	}
}

// item is the offset of the i-th data object of the current entry.
func (c *Cursor) item(i int) uint64 { return c.f.offsetAt(c.raw, uint64(i)*c.f.entryItemSize()) }

// prepare adapts the walks to the direction, and to the file if it grew.
func (c *Cursor) prepare(dir int) error {
	if err := c.m.refresh(); err != nil {
		return err
	}
	if !c.built {
		if err := c.build(); err != nil {
			return err
		}
	}
	if c.dir != dir {
		c.dir = dir
		for i := range c.walks {
			if !c.walks[i].aim(c.f, c.at, dir) && len(c.walks) > 1 {
				return c.fallBack(fmt.Errorf("%w: the list of a field's entries", ErrCorrupt))
			}
		}
	}
	return nil
}

// fallBack goes on with the list of all entries from where the cursor is, because the list of a field is damaged.
func (c *Cursor) fallBack(err error) error {
	c.walks = append(c.walks[:0], walk{l: &c.f.main})
	c.walks[0].aim(c.f, c.at, c.dir)
	return err
}

// build chooses the lists to walk: those of the rarest terms, and the end of the list of all entries, for what is not in them
// yet.
func (c *Cursor) build() error {
	c.walks, c.dir, c.built = c.walks[:0], 0, true
	lists, ok, err := c.m.drivers()
	all := walk{l: &c.f.main}
	if ok && err == nil { // if an index is damaged, every entry is read
		all.from = c.f.main.n - min(c.f.main.n, tail)
		for i := range lists {
			c.walks = append(c.walks, walk{l: &lists[i]})
		}
	}
	c.walks = append(c.walks, all)
	return err
}

// aim makes the walk go on from the entry at offset at. It reports whether the whole list is there.
func (w *walk) aim(f *File, at uint64, dir int) (ok bool) {
	ok = true
	w.off = 0
	if w.l.n > 0 {
		_, err := f.at(w.l, w.l.n-1) // learns the whole chain
		ok = err == nil
	}
	switch {
	case dir > 0 && at == 0: // before the first entry
		w.i = w.from
	case dir > 0:
		w.i = f.search(w.l, w.from, func(off uint64) bool { return off > at })
	default:
		w.i = f.search(w.l, w.from, func(off uint64) bool { return off >= at })
	}
	return ok
}

// peek returns the offset of the entry that the walk is at; 0 at its end.
func (w *walk) peek(f *File, dir int) (uint64, error) {
	if w.off != 0 {
		return w.off, nil
	}
	i := w.i
	if dir < 0 {
		i--
	}
	if i < w.from || i >= w.l.n { // i-- of zero is not below n
		return 0, nil
	}
	off, err := f.at(w.l, i)
	if err == nil {
		w.off = off
	}
	return off, err
}

func (w *walk) move(dir int) {
	w.i += uint64(dir)
	w.off = 0
}

// advance moves all walks over the nearest entry and returns its offset; 0 if there is none. It skips places that a writer
// reserved and did not fill (offset 0).
func (c *Cursor) advance() (uint64, error) {
	for {
		best, err := c.nearest()
		if err != nil {
			return 0, err
		}
		if best == 0 {
			return 0, nil
		}
		for i := range c.walks {
			if w := &c.walks[i]; w.off == best {
				w.move(c.dir)
			}
		}
		// Lists are in the order of offsets; one that goes back would show an entry twice.
		if c.dir > 0 && best > c.at || c.dir < 0 && best < c.at {
			return best, nil
		}
	}
}

func (c *Cursor) nearest() (best uint64, err error) {
	for i := range c.walks {
		w := &c.walks[i]
		off, err := w.peek(c.f, c.dir)
		for err == nil && off == 0 && w.hole(c.dir) {
			w.move(c.dir)
			off, err = w.peek(c.f, c.dir)
		}
		if err != nil && len(c.walks) > 1 {
			return 0, c.fallBack(err)
		}
		if err != nil {
			w.finish(c.dir)
			return 0, err
		}
		if off != 0 && (best == 0 || (off < best) == (c.dir > 0)) {
			best = off
		}
	}
	return best, nil
}

// hole reports whether the walk is at an item, and not at its end.
func (w *walk) hole(dir int) bool {
	if dir < 0 {
		return w.i > w.from
	}
	return w.i < w.l.n
}

// finish gives up a list whose array cannot be read.
func (w *walk) finish(dir int) {
	w.off, w.i = 0, w.l.n
	if dir < 0 {
		w.i = w.from
	}
}

// Entry is the fixed part of the current entry.
func (c *Cursor) Entry() Entry { return c.entry }

// Group is the index of the first group of the selector that the current entry is in.
func (c *Cursor) Group() int { return c.group }

// Offset is where in the file the current entry is. It grows from entry to entry; 0 is before the first.
func (c *Cursor) Offset() uint64 { return c.at }

// Fields is the number of fields of the current entry.
func (c *Cursor) Fields() int { return len(c.words) }

// Data returns the i-th field of the current entry in the form "FIELD=value", expanded if it was compressed. i is in
// [0, Fields()); at most limit bytes are returned, and whole says whether that was all. The bytes are valid until the
// next call of Data.
func (c *Cursor) Data(i, limit int) (data []byte, whole bool, err error) {
	defer c.f.guard(debug.SetPanicOnFault(true), &err)
	c.buf, whole, err = c.f.payload(c.buf[:0], c.item(i), limit)
	return c.buf, whole, err
}

// Holds reports whether the current entry is in that group of the selector.
func (c *Cursor) Holds(group int) bool { return c.m.groups[group].holds(c.f, c.raw) }
