package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"exile/journal"
	"exile/journal/journalfile"
)

// key identifies a file while we hold it: a file that is mapped keeps its inode.
type key struct{ dev, ino uint64 }

// file is a journal file and where we are in it.
type file struct {
	*journalfile.File
	path     string
	header   journalfile.Header
	cursor   *journalfile.Cursor
	replay   uint64 // offset of the last entry that has been acted upon
	have     bool   // the cursor stands at an entry that is not delivered
	archived bool   // journald does not write to it any more
	gone     bool   // it is not in its directory any more
	errors   int
	closed   bool
}

// maxErrors is how many entries of a file may be damaged before the rest of it is given up.
const maxErrors = 1000

// scan looks for files that came, were renamed or went.
func (r *reader) scan() {
	r.scanned = time.Now()
	for _, f := range r.known {
		f.gone = true
	}
	var fresh []*file
	for _, dir := range r.cfg.Dirs {
		names, err := list(dir, r.cfg.AllUsers)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapUnreadable, File: dir, Err: err})
			}
			continue
		}
		for _, name := range names {
			if f := r.found(filepath.Join(dir, name)); f != nil {
				fresh = append(fresh, f)
			}
		}
	}
	r.forget()
	r.placeAll(fresh)
}

// found deals with a file that is there and returns it if it is new.
func (r *reader) found(path string) *file {
	st, err := os.Stat(path)
	if err != nil {
		return nil // it went while we looked
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	k := key{uint64(sys.Dev), sys.Ino}
	if f := r.known[k]; f != nil {
		f.path, f.gone = path, false
		f.archived = f.archived || isArchived(filepath.Base(path))
		return nil
	}
	f, err := r.openFile(path)
	switch {
	case err == nil:
		r.known[k] = f
		return f
	case unsupported(err):
		r.fatal = err
	case errors.Is(err, journalfile.ErrNotJournal), errors.Is(err, fs.ErrNotExist):
		// Just made: its header comes; or just gone.
	default:
		r.known[k] = &file{path: path, closed: true, archived: true}
		r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapUnreadable, File: path, Err: err})
	}
	return nil
}

func (r *reader) openFile(path string) (*file, error) {
	jf, err := journalfile.Open(path)
	if err != nil {
		return nil, err
	}
	f := &file{File: jf, path: path, archived: isArchived(filepath.Base(path))}
	f.header, err = jf.Header()
	if err == nil {
		var m *journalfile.Match
		if m, err = jf.Match(r.sel); err == nil {
			f.cursor = jf.Cursor(m)
			return f, nil
		}
	}
	return nil, errors.Join(err, jf.Close())
}

// forget drops files that are gone and have been read to the end.
func (r *reader) forget() {
	for k, f := range r.known {
		if !f.gone {
			continue
		}
		delete(r.known, k)
		f.archived = true // nobody can open it for writing any more
		if !r.isOpen(f) {
			f.close()
		}
	}
}

func (r *reader) isOpen(f *file) bool {
	for _, o := range r.open {
		if o == f {
			return true
		}
	}
	return false
}

// placeAll decides for new files where to begin in them.
func (r *reader) placeAll(fresh []*file) {
	for _, f := range fresh {
		if err := r.place(f); err != nil {
			f.fail(r, err)
		}
		r.open = append(r.open, f)
	}
	r.seen = r.pos
}

// place puts the cursor of a new file before the first entry that is to be delivered.
func (r *reader) place(f *file) error {
	resume := r.pos
	if f.header.SeqnumID == r.seen.SeqnumID {
		// Entries written after the last scan may be older than what we have read since in another file.
		resume = r.seen
	}
	if err := r.resume(f, resume); err != nil {
		return err
	}
	f.replay = f.cursor.Offset()
	if r.started || r.from.Since.IsZero() {
		return nil
	}
	if err := f.cursor.SeekRealtime(r.since()); err != nil {
		return err
	}
	if !resume.IsZero() && f.cursor.Offset() > f.replay {
		f.cursor.SeekOffset(f.replay)
	}
	return nil
}

// resume puts the cursor behind the position.
func (r *reader) resume(f *file, p journal.Position) error {
	f.cursor.SeekHead()
	if p.IsZero() {
		return nil
	}
	if f.header.SeqnumID == p.SeqnumID {
		return f.cursor.SeekSeqnum(p.Seqnum + 1)
	}
	if found, err := f.cursor.SeekMonotonic(p.Boot, p.Monotonic+1); found || err != nil {
		return err
	}
	if last, ok := f.Last(); ok && r.earlier(last.Position(f.header.SeqnumID), p) {
		return f.cursor.SeekTail()
	}
	return nil
}

// refresh looks for new entries.
func (f *file) refresh(r *reader) {
	if _, err := f.Refresh(); err != nil {
		f.fail(r, err)
	}
}

// peek makes the cursor stand at an entry that is not delivered, if there is one.
func (f *file) peek(r *reader) bool {
	for !f.have && f.errors < maxErrors {
		ok, err := f.cursor.Next()
		if err != nil {
			f.fail(r, err)
			continue
		}
		f.have = ok
		return ok
	}
	return f.have
}

// fail notes that something in the file could not be read. It is reported once.
func (f *file) fail(r *reader, err error) {
	if f.errors == 0 {
		r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapUnreadable, File: f.path, Err: err})
	}
	f.errors++
	if errors.Is(err, journalfile.ErrUnreadable) {
		f.errors = maxErrors
	}
}

func (f *file) close() {
	if !f.closed {
		f.closed = true
		_ = f.Close()
	}
}

// noteSuppressed makes a gap of journald's "Suppressed N messages from UNIT".
func (r *reader) noteSuppressed(f *file) {
	if len(r.sel) > 0 && f.cursor.Group() < len(r.sel)-1 {
		return
	}
	fields := make(map[string]string)
	for i := range f.cursor.Fields() {
		data, _, err := f.cursor.Data(i, 512)
		if err != nil {
			return
		}
		name, value, _ := strings.Cut(string(data), "=")
		fields[name] = value
	}
	if fields["MESSAGE_ID"] != suppressed[0].Values[0] || fields["_TRANSPORT"] != "driver" {
		return
	}
	n, _ := strconv.ParseUint(fields["N_DROPPED"], 10, 64)
	e := f.cursor.Entry()
	at := time.UnixMicro(int64(e.Realtime))
	r.gaps = append(r.gaps, journal.Gap{
		Kind: journal.GapSuppressed, File: f.path, Unit: fields["OBJECT_SYSTEMD_UNIT"], Entries: n, Since: at, Until: at,
		Err: fmt.Errorf("%q", fields["MESSAGE"]),
	})
}
