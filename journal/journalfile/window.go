package journalfile

import "golang.org/x/sys/unix"

// window is a copy of a stretch of the file. Touching a page of a mapping for the first time costs five times as much as
// copying a kilobyte of it, and the kernel maps the pages around it too: walking or hopping through a file is faster with
// copies. What is larger than the copy is read from the mapping.
type window struct {
	last uint64 // the entry that the window was last wanted for
	main stretch
	side stretch // of what is elsewhere: what an entry refers to, the index
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
	windowItems = 1 << 10   // of an entry array; a power of two
)

// prime fills the window with the entry at off and its surroundings.
func (f *File) prime(off uint64) {
	w := &f.win
	near := w.last != 0 && off-w.last <= strideNear
	w.last = off
	if off-w.main.base+entryItems < uint64(len(w.main.buf)) {
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
	n, _ := unix.Pread(f.fd, s.buf[:min(uint64(size), f.used-min(f.used, base))], int64(base))
	s.buf = s.buf[:max(n, 0)] // an error occurs again, and is reported, when the mapping is read
}

// forget empties the window, which may be wrong after the file has grown.
func (w *window) forget() {
	w.last = 0
	w.main.forget()
	w.side.forget()
}

// forget empties the stretch, and frees a large one: an idle file must not keep it. The next entry needs the small ones again.
func (s *stretch) forget() {
	if cap(s.buf) > windowSmall {
		s.buf = nil
	}
	s.buf = s.buf[:0]
}

// at returns the bytes of the stretch from off on, or none if there are fewer than n.
func (s *stretch) at(off uint64, n int) []byte {
	if i := off - s.base; i < uint64(len(s.buf)) && uint64(len(s.buf))-i >= uint64(n) {
		return s.buf[i:]
	}
	return nil
}

// object is File.object, or nil if the stretch does not have all of it.
func (s *stretch) object(off uint64, kind byte, least uint64) []byte {
	b := s.at(off, objectHeader)
	if b == nil || off%8 != 0 || b[0] != kind {
		return nil
	}
	if size := le64(b, 8); size >= least && size <= uint64(len(b)) {
		return b[:size:size]
	}
	return nil
}

// near is object, from a copy if it is not too large. The bytes are valid until the next call of near, fixed or word.
func (f *File) near(off uint64, kind byte, least uint64) ([]byte, error) {
	w := &f.win
	if b := w.main.object(off, kind, least); b != nil {
		return b, nil
	}
	if w.side.at(off, objectHeader) == nil {
		f.fill(&w.side, off, windowSide)
	}
	if b := w.side.object(off, kind, least); b != nil {
		return b, nil
	}
	return f.object(off, kind, least)
}

// fixed returns the first n bytes of the object at off, valid as long as those of near, and the size of the whole.
func (f *File) fixed(off uint64, kind byte, n int) (b []byte, size uint64, err error) {
	s := &f.win.side
	if s.at(off, n) == nil {
		f.fill(s, off, windowSide)
	}
	if b = s.at(off, n); b != nil && off%8 == 0 && off >= f.hdrSize && b[0] == kind {
		if size = le64(b, 8); size >= uint64(n) && size <= f.used-off {
			return b[:n:n], size, nil
		}
	}
	b, err = f.object(off, kind, uint64(n))
	if err != nil {
		return nil, 0, err
	}
	return b[:n:n], uint64(len(b)), nil
}

// word reads the number at off. off+8 <= f.used.
func (f *File) word(off uint64) uint64 {
	s := &f.win.side
	if s.at(off, 8) == nil {
		f.fill(s, off, bucketSize)
	}
	if b := s.at(off, 8); b != nil {
		return le64(b, 0)
	}
	return le64(f.data, off)
}
