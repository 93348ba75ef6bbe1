package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// lockWait is how long a daemon that is just ending may take to let go of the file.
const lockWait = 5 * time.Second

// open makes s.db a file that has been read from end to end, if need be a new one.
func (s *Store) open() error {
	err := s.tryOpen()
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	if err := s.moveAside(err); err != nil {
		return err
	}
	return s.tryOpen()
}

// tryOpen leaves s.db open for reading where nothing can be written, and says why.
func (s *Store) tryOpen() error {
	if err := s.verify(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openFile(s.path, false)
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
		if readable, err := openFile(s.path, true); err == nil {
			s.db = readable
		}
		return err
	}
	if err != nil {
		return err
	}
	if err := guard(func() error { return prepare(db) }); err != nil {
		return errors.Join(err, db.Close())
	}
	s.db = db
	_ = s.shrink() // or the next time
	return nil
}

// verify reads the file without changing it: a missing file is fs.ErrNotExist, one that is not ours or not whole is
// ErrCorrupt. The database itself would trust every page and fault where the file is too short.
func (s *Store) verify() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && info.Size() == 0 { // a crash at birth
		return fs.ErrNotExist
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: not a regular file", ErrCorrupt)
	}
	db, err := openFile(s.path, true) // nobody writes from here on
	if err != nil {
		return err
	}
	if err = checkFile(s.path, info.Size()); err == nil {
		err = guard(func() error { return db.View(new(Contents).read) })
	}
	return errors.Join(err, db.Close())
}

func checkFile(path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return checkPages(f, size)
}

// openFile opens the database; whatever the file holds ends in an error. A process that had it before may have put another in
// its place while we waited: then it is opened anew.
func openFile(path string, readOnly bool) (*bolt.DB, error) {
	for {
		db, file, err := openLocked(path, readOnly)
		if err != nil || isAt(file, path) {
			return db, err
		}
		if err := db.Close(); err != nil {
			return nil, err
		}
	}
}

// isAt reports whether an open file is the one of that name.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return true // nothing can be told
	}
	named, err := os.Stat(path)
	return err != nil && !isMissing(err) || err == nil && os.SameFile(opened, named)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// openLocked opens the file that has the name, and returns it when its lock is to be had.
func openLocked(path string, readOnly bool) (*bolt.DB, *os.File, error) {
	var db *bolt.DB
	var file *os.File
	options := &bolt.Options{
		Timeout:      lockWait,
		ReadOnly:     readOnly,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	}
	err := guard(func() (err error) {
		db, err = bolt.Open(path, 0o600, options)
		return err
	})
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, ErrLocked
	case errors.Is(err, ErrCorrupt) && file != nil:
		_ = file.Close() // a panic left it open, and locked
	case isErrno(err):
	default: // the database has no common error for files that are not its own
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil, nil, err
}

func isErrno(err error) bool {
	_, ok := errors.AsType[unix.Errno](err)
	return ok
}

// prepare brings a file to the newest schema and its name to disk.
func prepare(db *bolt.DB) error {
	if err := db.Update(migrate); err != nil {
		return err
	}
	if err := db.View(checkUse); err != nil {
		return err
	}
	return syncDir(filepath.Dir(db.Path()))
}

// checkUse compares the pages in use with those that are free: one that is both would be overwritten.
func checkUse(tx *bolt.Tx) error {
	var first error
	for err := range tx.Check() { // to the end: a goroutine sends
		if first == nil {
			first = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	return first
}

// moveAside keeps one damaged file for whoever wants to look at it. A second one takes its place, so that a disk that
// damages files is not filled by them.
func (s *Store) moveAside(why error) error {
	aside := s.path + ".damaged"
	if err := os.Rename(s.path, aside); err != nil {
		return fmt.Errorf("%w; and it cannot be set aside: %w", why, err)
	}
	s.setAside = fmt.Errorf("%w as %s: %w", ErrSetAside, aside, why)
	return nil
}

// guard turns the panics of the database into ErrCorrupt, also the fault of a page that the file does not have.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return do()
}
