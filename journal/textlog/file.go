package textlog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"syscall"
	"time"

	"exile/journal"
)

const (
	maxLine  = 64 << 10 // longer lines are cut
	bufSize  = 2 * maxLine
	headSize = 1024 // a file is recognized by so many of its first bytes
)

// headTable returns a table that hash/crc64 makes once.
func headTable() *crc64.Table { return crc64.MakeTable(crc64.ECMA) }

// errTruncated says that the file no longer holds what was read from it.
var errTruncated = errors.New("truncated")

// fileID identifies a file to the kernel. Inode numbers are reused: compare the head too.
type fileID struct{ device, inode uint64 }

// file is an open log file and how far it has been read.
type file struct {
	log      string // the path that it belongs to
	name     string // the path that it was found at
	f        *os.File
	id       fileID
	modified time.Time
	size     int64
	links    uint64 // names that it has

	adopted bool // it is being read, not only found
	moved   bool // another file has its name now, or it is a copy
	failed  bool // its last read failed, and that has been reported
	grown   time.Time

	offset  int64 // of the first byte not taken yet
	resume  int64 // lines that end at or before it were acted upon
	head    [headSize]byte
	headLen int
	sum     uint64 // of head[:summed]
	summed  int

	buf        []byte // buf[start:end] is what was read and not taken; it begins at offset
	start, end int
	eof        bool
	skipping   bool // within a line whose beginning was delivered or lost
	last       time.Time
	repeats    Repeats
	pieces     *dockerPieces // of FormDocker; nil: not looked at since the last seek
	undated    bool          // line has no stamp that we know, or an implausible one

	ready  bool // line is the next, length its bytes in buf
	line   Line
	length int
	cut    uint64 // lines cut since the last question
}

// openLog opens the regular file at name, which holds a part of log.
func (c Config) openLog(log, name string) (*file, error) {
	f, err := c.open(name)
	if err != nil {
		return nil, fmt.Errorf("open text log: %w", err)
	}
	opened := &file{log: log, name: name, f: f, grown: time.Now()}
	if err := opened.stat(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return opened, nil
}

func (f *file) stat() error {
	info, err := f.f.Stat()
	if err != nil {
		return fmt.Errorf("stat text log: %w", err)
	}
	raw, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return fmt.Errorf("stat text log %q: not a regular file", f.name)
	}
	f.id = fileID{device: uint64(raw.Dev), inode: raw.Ino}
	f.modified, f.size = info.ModTime(), info.Size()
	f.links = uint64(raw.Nlink) // and Dev: their sizes differ by architecture
	return nil
}

// seek goes to offset, which is where a line begins or, after one that was cut, its middle.
func (f *file) seek(offset int64) error {
	f.offset, f.start, f.end = offset, 0, 0
	f.ready, f.eof, f.skipping = false, false, false
	f.headLen, f.sum, f.summed = int(min(offset, headSize)), 0, 0
	f.repeats, f.pieces = Repeats{}, nil
	if _, err := f.f.ReadAt(f.head[:f.headLen], 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read head of text log: %w", err)
	}
	if offset == 0 {
		return nil
	}
	var before [1]byte
	if _, err := f.f.ReadAt(before[:], offset-1); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read text log: %w", err)
	}
	f.skipping = before[0] != '\n' && before[0] != 0
	return nil
}

// holds reports whether, by its content, the file was once read up to p.
func (f *file) holds(p place) bool {
	if f.size < p.offset {
		return false
	}
	head := make([]byte, min(p.offset, headSize))
	if _, err := f.f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	return crc64.Checksum(head, headTable()) == p.head
}

// sameHead reports whether the file begins with all the bytes that were first seen.
func (f *file) sameHead() bool {
	return f.headLen == headSize && f.holds(place{offset: headSize, head: crc64.Checksum(f.head[:], headTable())})
}

// place is where the file has been read to.
func (f *file) place() place {
	if n := int(min(f.offset, headSize)); n > f.summed {
		f.sum, f.summed = crc64.Update(f.sum, headTable(), f.head[f.summed:n]), n
	}
	return place{fileID: f.id, offset: f.offset, head: f.sum}
}

// fill reads on if there is no whole line left in the buffer. Lines that were returned before become invalid.
func (f *file) fill(ref Reference) error {
	if f.prepare(ref) {
		return nil
	}
	if f.buf == nil {
		f.buf = make([]byte, bufSize)
	}
	f.start, f.end = 0, copy(f.buf, f.buf[f.start:f.end])
	at := f.offset + int64(f.end)
	n, err := f.f.ReadAt(f.buf[f.end:], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read text log: %w", err)
	}
	f.eof = err != nil
	// Checked after the read: what was read before the file was truncated is good.
	if err := f.verify(at); err != nil {
		return err
	}
	if n > 0 {
		f.grown = time.Now()
	}
	if at < headSize {
		f.headLen = int(at) + copy(f.head[at:], f.buf[f.end:f.end+n])
	}
	f.end += n
	if !f.prepare(ref) && f.start == f.end && f.eof {
		f.buf, f.start, f.end = nil, 0, 0 // an idle log needs no memory
	}
	return nil
}

// verify returns errTruncated if the file is shorter than what was read, or does not begin with the bytes first seen.
func (f *file) verify(read int64) error {
	if err := f.stat(); err != nil {
		return err
	}
	var now [headSize]byte
	n, err := f.f.ReadAt(now[:f.headLen], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read head of text log: %w", err)
	}
	if f.size < read || !bytes.Equal(now[:n], f.head[:f.headLen]) {
		return errTruncated
	}
	return nil
}

// prepare finds and parses the next whole line in the buffer.
func (f *file) prepare(ref Reference) bool {
	for !f.ready {
		text, ok := f.next()
		if !ok {
			return false
		}
		if len(text) == 0 {
			f.take()
			continue
		}
		ref.Now, ref.Last = f.modified, f.last
		if ref.Form == FormDocker && f.goesOn(text, &ref) {
			f.take()
			continue
		}
		f.line = ParseLine(text, ref)
		if ref.Form == FormSyslog || ref.Form == "" {
			f.repeats.Expand(&f.line)
		}
		f.undated = f.line.Time.IsZero()
		if f.undated {
			f.line.Time = f.last
			f.undated = ref.Form != FormLine || !goesOn(text)
		} else {
			f.last = f.line.Time
		}
		if f.line.Time.IsZero() {
			f.line.Time = f.modified
		}
		f.ready = true
	}
	return true
}

// next finds the next line, or a stretch to skip (NULs that truncation left, the end of a cut line), as empty text.
func (f *file) next() (text []byte, ok bool) {
	data := f.buf[f.start:f.end]
	newline := bytes.IndexByte(data, '\n')
	switch {
	case len(data) == 0:
		return nil, false
	case f.skipping:
		f.skipping = newline < 0
		f.length = newline + 1
		if f.skipping {
			f.length = len(data)
		}
		return nil, true
	case data[0] == 0:
		f.length = len(data) - len(bytes.TrimLeft(data, "\x00"))
		return nil, true
	case newline < 0 && len(data) <= maxLine:
		return nil, false
	case newline < 0:
		f.cut++
		f.skipping = true
		f.length = maxLine
		return data[:maxLine], true
	}
	if newline > maxLine {
		f.cut++
	}
	f.length = newline + 1
	return bytes.TrimSuffix(data[:min(newline, maxLine)], []byte("\r")), true
}

// take moves past what next found.
func (f *file) take() {
	f.start += f.length
	f.offset += int64(f.length)
	f.ready = false
}

// unfinished returns how many bytes follow the last newline, not counting those of a line that was cut.
func (f *file) unfinished() int {
	if f.skipping {
		return 0
	}
	return f.end - f.start
}

// position is the place as a journal.Position.
func (f *file) position() journal.Position { return f.place().position() }

// close closes the file. It was only read, so no error matters.
func (f *file) close() { _ = f.f.Close() }
