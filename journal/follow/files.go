package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	placed   bool             // the cursor is where we begin
	replay   uint64           // offset of the last entry that has been acted upon
	pos      journal.Position // after the current entry
	limit    uint64           // the last number that may be delivered now
	have     bool             // the current entry is not delivered
	ahead    *ahead           // that entry, if it was read ahead, and later ones
	coming   chan *ahead      // it is being read
	archived bool             // journald no longer writes to it
	gone     bool             // it is no longer in its directory
	closed   bool
	damaged  int // entries and lists that could not be read
}

// maxDamage is how many entries of a file may be damaged before we skip the rest.
const maxDamage = 1000

// scan looks for files that are new, renamed or gone.
func (r *reader) scan() {
	r.scanned, r.scannedP = time.Now(), r.pos
	for _, f := range r.known {
		f.gone = true
	}
	r.trouble = absence(r.cfg)
	for _, path := range r.cfg.Files {
		r.trouble = nil
		r.meet(path)
	}
	for _, dir := range r.cfg.Dirs {
		names, err := list(dir, r.cfg.AllUsers)
		switch {
		case err == nil && errors.Is(r.trouble, fs.ErrNotExist):
			r.trouble = nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			r.complain(dir, err)
		}
		for _, name := range names {
			r.meet(filepath.Join(dir, name))
		}
	}
	r.forget()
}

// meet handles a file that is there.
func (r *reader) meet(path string) {
	st, err := os.Stat(path)
	if err != nil {
		return // it was removed meanwhile
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	k := key{uint64(sys.Dev), sys.Ino}
	if f := r.known[k]; f != nil {
		f.path, f.gone = path, false
		f.archived = f.archived || isArchived(filepath.Base(path))
		return
	}
	f, err := r.openFile(path)
	switch {
	case err == nil:
		r.known[k] = f
		r.open = append(r.open, f)
	case errors.Is(err, journalfile.ErrUnsupported):
		r.fatal = err
	case errors.Is(err, journalfile.ErrNotJournal) && !isArchived(filepath.Base(path)), errors.Is(err, fs.ErrNotExist):
		// Just created, and without its header yet; or just removed.
	default:
		r.complain(path, err)
	}
}

func (r *reader) openFile(path string) (*file, error) {
	jf, err := journalfile.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := jf.Match(r.sel)
	if err != nil {
		return nil, errors.Join(err, jf.Close())
	}
	m.Deliver(r.cfg.Fields)
	return &file{File: jf, path: path, cursor: jf.Cursor(m), archived: isArchived(filepath.Base(path))}, nil
}

// complain reports, once, what cannot be read.
func (r *reader) complain(path string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		err = refusal(path)
		r.trouble = err
	}
	if len(r.told) >= maxEntries {
		clear(r.told) // names come from outside, and must not fill the memory
	}
	if r.told[path] != err.Error() {
		r.told[path] = err.Error()
		r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapUnreadable, File: path, Err: err})
	}
}

// forget drops files that are gone. Those not read to the end yet are read from their mapping.
func (r *reader) forget() {
	for k, f := range r.known {
		if !f.gone {
			continue
		}
		delete(r.known, k)
		f.archived = true // nobody can open it for writing now
		r.keepTail(f)
		if !slices.Contains(r.open, f) {
			f.close()
		}
	}
}

// refresh looks for new entries.
func (f *file) refresh(r *reader) {
	if _, err := f.Refresh(); err != nil {
		f.give(r, err)
	}
}

// peek goes to an entry that is not delivered, if there is one.
func (f *file) peek(r *reader) bool {
	for f.placed && !f.have && f.damaged < maxDamage {
		ok, err := f.step(r)
		if err == nil {
			f.have = ok
			break
		}
		f.fail(r, err)
	}
	return f.have
}

// locate sets p to the position after the entry at the cursor. It sets it in place because it is large and this happens for
// every entry.
func (f *file) locate(p *journal.Position) {
	e := f.cursor.Entry()
	p.SeqnumID, p.Seqnum, p.Boot = f.header.SeqnumID, e.Seqnum, e.Boot
	p.Monotonic, p.Realtime, p.XorHash = e.Monotonic, e.Realtime, e.XorHash
}

// fail notes that something in the file could not be read.
func (f *file) fail(r *reader, err error) {
	f.damaged++
	if f.damaged == 1 {
		r.gaps = append(r.gaps, journal.Gap{Kind: journal.GapUnreadable, File: f.path, Err: err})
	}
	if f.damaged == maxDamage {
		f.give(r, fmt.Errorf("the rest of the file is given up: %w", err))
	}
	f.give(r, err)
}

// give gives up a file that cannot be read on.
func (f *file) give(r *reader, err error) {
	if errors.Is(err, journalfile.ErrUnreadable) {
		f.damaged = maxDamage
	}
	if f.damaged >= maxDamage || !errors.Is(err, journalfile.ErrCorrupt) {
		r.complain(f.path, err)
	}
}

func (f *file) close() {
	f.settle()
	if !f.closed {
		f.closed = true
		_ = f.Close() // it was open for reading only
	}
}
