package journalfile

// window is a copy of a stretch of the file. To touch a page of a mapping for the first time costs ten times what it costs
// to copy it, and the kernel maps those around it too: whoever walks through a file, or hops through it, is better off
// with copies. What is not in the window is read from the mapping.
type window struct {
	base uint64 // offset of buf[0]
	last uint64 // the entry that the window was last wanted for
	buf  []byte
}

const (
	strideNear  = 64 << 10  // entries that are not further apart than that are read in one go
	windowLarge = 128 << 10 // then
	windowSmall = 4 << 10   // otherwise: one entry, and the fields that were written just before it
	windowBack  = 3 << 10   // how much of it lies before the entry
	fewLeft     = 8         // for so few entries it is not worth it
)

// prime makes the window have the entry at off and what lies around it. left is how many entries the walk has left.
func (f *File) prime(off, left uint64) {
	w := &f.win
	near := w.last != 0 && off-w.last <= strideNear
	w.last = off
	if left <= fewLeft || f.file == nil || off-w.base+entryItems < uint64(len(w.buf)) {
		return
	}
	size := windowSmall
	if near {
		size = windowLarge
	}
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	w.base = max(f.hdrSize, off-min(off, windowBack))
	n, _ := f.file.ReadAt(w.buf[:min(uint64(size), f.used-min(f.used, w.base))], int64(w.base))
	w.buf = w.buf[:n] // an error comes again, and is reported, when the mapping is read
}

// forget frees the window; after the file has grown it may be wrong.
func (w *window) forget() { *w = window{} }

// near is object, from the window if it is there as a whole.
func (f *File) near(off uint64, kind byte, least uint64) ([]byte, error) {
	at := off - f.win.base
	if n := uint64(len(f.win.buf)); off%8 != 0 || at >= n || n-at < objectHeader {
		return f.object(off, kind, least)
	}
	b := f.win.buf[at:]
	if size := le64(b, 8); b[0] == kind && size >= least && size <= uint64(len(b)) {
		return b[:size:size], nil
	}
	return f.object(off, kind, least)
}
