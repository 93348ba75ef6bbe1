package state

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// FileName is the name of the state file in its directory.
const FileName = "state.db"

// Store is the state file. It is used from one goroutine at a time.
type Store struct {
	path     string
	db       *bolt.DB // nil while the file cannot be opened
	setAside error
	pending  Batch // what could not be written yet
	trouble  error
}

// Open opens or creates the state file in dir, which must exist. A disk that is full or read-only is not an error: what can be read is read, Err
// says what is wrong, and each Commit tries again. A damaged or foreign file is renamed and a new one created: SetAside says so. The only
// error is ErrLocked.
func Open(dir string) (*Store, error) {
	s := &Store{path: filepath.Join(dir, FileName)}
	err := s.open()
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("open state: %w", err)
	}
	_ = s.fail("open", err) // Err tells
	return s, nil
}

// SetAside says which file was set aside at the last open, under which name and why; nil: none.
func (s *Store) SetAside() error { return s.setAside }

// Err says why the disk lacks something that was committed; nil: it does not.
func (s *Store) Err() error { return s.trouble }

// Close closes the file. What could not be written is lost.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return db.Close()
}

// Load reads everything that is on disk. ErrSetAside means that there is nothing, because a damaged file was set aside.
func (s *Store) Load() (Contents, error) {
	if s.db == nil {
		return NewContents(), nil
	}
	c := NewContents()
	err := guard(func() error { return s.db.View(c.read) })
	if err != nil {
		return NewContents(), fmt.Errorf("load state: %w", err)
	}
	s.remap()
	return c, s.setAside
}

// remap releases the pages that were read: as long as the file is mapped they count as memory of the process. If the file cannot be opened
// again, the next write tries it and reports the error.
func (s *Store) remap() {
	readOnly := s.db.IsReadOnly()
	_ = s.Close() // nothing is under way
	s.db, _ = openFile(s.path, readOnly)
}

// Commit writes b in one transaction and returns when it is on disk. If that fails, the error is ErrFull, ErrReadOnly or another, and b is merged
// into the next Commit; an empty batch retries. ErrSetAside means that everything committed before is lost: call Replace with
// everything.
// Names of jails and sources are not empty and have no zero byte.
func (s *Store) Commit(b Batch) error {
	s.pending.add(b)
	err := s.write(func(tx *bolt.Tx) error { return s.pending.write(tx) })
	if err == nil {
		s.pending = Batch{}
	}
	return s.fail("commit", err)
}

// Replace replaces everything that is stored by c.
func (s *Store) Replace(c Contents) error {
	err := s.write(func(tx *bolt.Tx) error {
		if err := clearBuckets(tx); err != nil {
			return err
		}
		return c.batch().write(tx)
	})
	if err == nil {
		s.pending = Batch{}
	}
	return s.fail("replace", err)
}

func (c Contents) batch() *Batch {
	return &Batch{
		Marks: c.Marks, Bans: c.Bans, Past: c.Past, Flushed: c.Flushed, Repeats: c.Repeats, Reports: c.Reports, Snapshots: c.Snapshots,
		Paused: &c.Paused, Trial: &c.Trial, Days: &c.Days, History: c.History, Announcements: &c.Announcements,
	}
}

// Purge forgets the repeats of addresses whose last one was before then, and returns free space in the file to the disk.
func (s *Store) Purge(then time.Time) error {
	err := s.write(func(tx *bolt.Tx) error {
		c := NewContents()
		if err := c.readBucket(tx, repeatsBucket); err != nil {
			return err
		}
		return deleteAll(tx, repeatsBucket, c.outdatedRepeats(then), prefixKey)
	})
	if err == nil {
		_ = s.shrink() // or the next time
	}
	return s.fail("purge", err)
}

func (c Contents) outdatedRepeats(then time.Time) []netip.Prefix {
	var old []netip.Prefix
	for p, times := range c.Repeats {
		if slices.MaxFunc(times, time.Time.Compare).Before(then) {
			old = append(old, p)
		}
	}
	return old
}

// write runs one transaction that changes the file. It opens the file first if that failed before.
func (s *Store) write(do func(*bolt.Tx) error) error {
	if s.db == nil || s.db.IsReadOnly() {
		if err := s.reopen(); err != nil {
			return err
		}
	}
	err := guard(func() error { return s.db.Update(do) })
	if errors.Is(err, ErrCorrupt) {
		// The next write opens the file again, finds the damage and sets it aside.
		_ = s.Close()
	}
	return err
}

func (s *Store) reopen() error {
	if err := s.Close(); err != nil {
		return err
	}
	s.setAside = nil
	if err := s.open(); err != nil {
		return err
	}
	return s.setAside
}

// fail remembers and returns what is wrong, in our words.
func (s *Store) fail(verb string, err error) error {
	switch {
	case err == nil:
		s.trouble = nil
		return nil
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	s.trouble = fmt.Errorf("%s state: %w", verb, err)
	return s.trouble
}
