package journalfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// File is an open journal file. journald may write to it at the same time. Use it, with its cursors and matches, from one
// goroutine at a time.
type File struct {
	layout
	path  string
	file  *os.File
	fd    int    // of file: copies are read without its locks
	data  []byte // the file, mapped
	used  uint64 // objects end here: where the header says, but not beyond the mapping
	main  list   // all entries
	words decoder
	unzip unzipper
	win   window
}

// Open opens the journal file at path for reading. It fails with an error that wraps ErrUnsupported, ErrNotJournal or
// ErrCorrupt, or with one of package fs. An empty file is ErrNotJournal: it has no header yet.
func Open(path string) (*File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open journal file: %w", err)
	}
	f := &File{path: path, file: file, fd: int(file.Fd())}
	if err := f.load(); err != nil {
		_ = f.Close() // the first error is the cause
		return nil, fmt.Errorf("open journal file %s: %w", path, err)
	}
	return f, nil
}

func (f *File) load() (err error) {
	if err := f.remap(); err != nil {
		return err
	}
	defer f.guard(debug.SetPanicOnFault(true), &err)
	f.layout, err = parseLayout(f.data)
	if err != nil {
		return err
	}
	_, err = f.refresh()
	return err
}

// Path is the path that the file was opened with. It may have been renamed since.
func (f *File) Path() string { return f.path }

// Header reads the header as it is now.
func (f *File) Header() (h Header, err error) {
	defer f.guard(debug.SetPanicOnFault(true), &err)
	return parseHeader(f.data), nil
}

// Len is the number of entries that cursors see. Only Refresh changes it.
func (f *File) Len() uint64 { return f.main.n }

// Refresh looks for new entries and reports whether there are any. If there are none, it costs a few loads from
// memory and no system call.
func (f *File) Refresh() (grown bool, err error) {
	defer f.guard(debug.SetPanicOnFault(true), &err)
	return f.refresh()
}

func (f *File) refresh() (bool, error) {
	n := f.load64(offNEntries)
	if n == f.main.n {
		return false, nil
	}
	if n < f.main.n {
		return false, fmt.Errorf("%w: entries became fewer: %d, then %d", ErrCorrupt, f.main.n, n)
	}
	used := f.hdrSize + le64(f.data, offArenaSize)
	if used > uint64(len(f.data)) {
		if err := f.remap(); err != nil {
			return false, err
		}
	}
	// A file that is shorter than it says was truncated; the rest is still readable.
	f.used = min(used, uint64(len(f.data)))
	f.win.forget()
	f.main.items.forget()
	f.tables(f.data)
	f.main.head = le64(f.data, 176)
	// Each linked entry takes at least an item in an array: there cannot be more.
	f.main.n = min(n, f.used/f.itemSize())
	return true, nil
}

// remap maps the file with its present length.
func (f *File) remap() error {
	st, err := f.file.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%w: %w", ErrNotJournal, fs.ErrInvalid)
	}
	if st.Size() < headerMin {
		return fmt.Errorf("%w: %d bytes", ErrNotJournal, st.Size())
	}
	if st.Size() > math.MaxInt {
		return fmt.Errorf("%d bytes are too many for the address space: %w", st.Size(), ErrUnreadable)
	}
	data, err := unix.Mmap(f.fd, 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	err = f.unmap()
	f.data = data
	return err
}

func (f *File) unmap() error {
	if f.data == nil {
		return nil
	}
	data := f.data
	f.data = nil
	if err := unix.Munmap(data); err != nil {
		return fmt.Errorf("unmap: %w", err)
	}
	return nil
}

// Close closes the file. Do not use its cursors afterwards.
func (f *File) Close() error {
	err := f.unmap()
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
		f.file, f.fd = nil, -1
	}
	f.win.forget()
	f.main, f.used = list{}, 0
	return err
}

// load64 reads a word that journald publishes with: what was written before it is visible after it.
func (f *File) load64(off uint64) uint64 {
	var b [8]byte
	word := &f.data[off : off+8][0] // aligned: mappings begin at a page
	binary.NativeEndian.PutUint64(b[:], atomic.LoadUint64((*uint64)(unsafe.Pointer(word))))
	return binary.LittleEndian.Uint64(b[:])
}

// guard is deferred around everything that reads the mapping: it turns the SIGBUS of a missing page into an error of this
// file. Nothing that points into the mapping leaves the package, so no fault can happen elsewhere.
func (f *File) guard(before bool, err *error) {
	debug.SetPanicOnFault(before)
	r := recover()
	if r == nil {
		return
	}
	fault, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok || !f.maps(fault.Addr()) {
		panic(r)
	}
	*err = fmt.Errorf("%w: %s: a page is gone", ErrUnreadable, f.path)
}

func (f *File) maps(addr uintptr) bool {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(f.data)))
	return len(f.data) > 0 && addr-start < uintptr(len(f.data))
}

// First and Last return the first and the last entry; ok is false if none can be read.
func (f *File) First() (e Entry, ok bool) { return f.nth(0) }

// Last returns the last entry that Len counts. See First.
func (f *File) Last() (e Entry, ok bool) { return f.nth(f.main.n - 1) }

func (f *File) nth(i uint64) (e Entry, ok bool) {
	if i >= f.main.n {
		return e, false
	}
	var err error
	func() {
		defer f.guard(debug.SetPanicOnFault(true), &err)
		e, err = f.read(i)
	}()
	return e, err == nil
}

func (f *File) read(i uint64) (e Entry, err error) {
	off, err := f.at(&f.main, i)
	if err != nil {
		return e, err
	}
	b, err := f.entry(off)
	if err == nil {
		e.parse(b)
	}
	return e, err
}

// CountSeqnums counts the entries with sequence numbers from lo to hi, without reading all of them.
func (f *File) CountSeqnums(lo, hi uint64) (n uint64, err error) {
	defer f.guard(debug.SetPanicOnFault(true), &err)
	from := f.search(&f.main, 0, f.isEntry(func(e []byte) bool { return le64(e, 16) >= lo }))
	to := f.search(&f.main, 0, f.isEntry(func(e []byte) bool { return le64(e, 16) > hi }))
	return max(to, from) - from, nil
}

// isEntry turns a predicate on entries into one on offsets, which is false for entries that cannot be read.
func (f *File) isEntry(ok func(e []byte) bool) func(off uint64) bool {
	return func(off uint64) bool {
		e, err := f.entry(off)
		return err == nil && ok(e)
	}
}
