package journalfile

// window is a copy of a stretch of the file. To touch a page of a mapping for the first time costs ten times what it costs
// to copy it, and the kernel maps those around it too: whoever walks through a file, or hops through it, is better off
// with copies. What is not in the window is read from the mapping.
type window struct {
	last uint64 // the entry that the window was last wanted for
	main stretch
	side stretch // of what an entry refers to far away
}

// stretch is a copy of some bytes of the file.
type stretch struct {
	base uint64 // offset of buf[0]
	buf  []byte
}

const (
	strideNear  = 8 << 10   // entries that are not further apart than that are read in one go
	windowLarge = 128 << 10 // then
	windowSmall = 1 << 10   // otherwise: one entry, and the fields that were written just before it
	windowBack  = 768       // how much of it lies before the entry
	windowSide  = 512       // one field
	fewLeft     = 8         // for so few entries it is not worth it
)

// prime makes the window have the entry at off and what lies around it. left is how many entries the walk has left.
func (f *File) prime(off, left uint64) {
	w := &f.win
	near := w.last != 0 && off-w.last <= strideNear
	w.last = off
	if left <= fewLeft || f.file == nil || off-w.main.base+entryItems < uint64(len(w.main.buf)) {
		return
	}
	size := windowSmall
	if near {
		size = windowLarge
	}
	f.fill(&w.main, max(f.hdrSize, off-min(off, windowBack)), size)
}

// fill copies size bytes of the file from base on, or less.
func (f *File) fill(s *stretch, base uint64, size int) {
	if cap(s.buf) < size {
		s.buf = make([]byte, size)
	}
	s.base = base
	n, _ := f.file.ReadAt(s.buf[:min(uint64(size), f.used-min(f.used, base))], int64(base))
	s.buf = s.buf[:n] // an error comes again, and is reported, when the mapping is read
}

// forget frees the window; after the file has grown it may be wrong.
func (w *window) forget() { *w = window{} }

// has reports whether the start of an object at off is in the stretch.
func (s *stretch) has(off uint64) bool {
	n := uint64(len(s.buf))
	return off-s.base < n && n-(off-s.base) >= objectHeader && off%8 == 0
}

// object is File.object; nil when the stretch does not have it as a whole.
func (s *stretch) object(off uint64, kind byte, least uint64) []byte {
	if !s.has(off) {
		return nil
	}
	b := s.buf[off-s.base:]
	if size := le64(b, 8); b[0] == kind && size >= least && size <= uint64(len(b)) {
		return b[:size:size]
	}
	return nil
}

// near is object, from the window if there is one.
func (f *File) near(off uint64, kind byte, least uint64) ([]byte, error) {
	w := &f.win
	if b := w.main.object(off, kind, least); b != nil {
		return b, nil
	}
	if len(w.main.buf) == 0 || off >= f.used {
		return f.object(off, kind, least)
	}
	if !w.side.has(off) {
		f.fill(&w.side, off, windowSide)
	}
	if b := w.side.object(off, kind, least); b != nil {
		return b, nil
	}
	return f.object(off, kind, least)
}
