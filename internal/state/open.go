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

// lockWait is how long a daemon that is stopping may take to release the file.
const lockWait = 5 * time.Second

// open opens s.db and reads the file from end to end. If necessary it makes a new file.
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

// tryOpen opens s.db, for reading only if it cannot be written, and returns why.
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

// verify reads the file without changing it. A missing file is fs.ErrNotExist; one that is damaged or not ours is ErrCorrupt. The database
// itself would trust every page and fault if the file is too short.
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

// openFile opens the database; no contents of the file cause a panic. A process that had it before may have replaced the file while we waited:
// then the new one is opened.
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

// isAt reports whether an open file still has that name.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return true // unknown
	}
	named, err := os.Stat(path)
	return err != nil && !isMissing(err) || err == nil && os.SameFile(opened, named)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// openLocked opens the file of that name and waits for its lock.
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

// prepare migrates a file to the newest schema and syncs its directory.
func prepare(db *bolt.DB) error {
	if err := db.Update(migrate); err != nil {
		return err
	}
	if err := db.View(checkUse); err != nil {
		return err
	}
	return syncDir(filepath.Dir(db.Path()))
}

// checkUse compares the pages in use with the free ones: a page that is both would be overwritten.
func checkUse(tx *bolt.Tx) error {
	var first error
	for err := range tx.Check() { // to the end: a goroutine sends
		if first == nil {
			first = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	return first
}

// moveAside keeps one damaged file for inspection. A second one replaces it, so that a disk that damages files is not filled with them.
func (s *Store) moveAside(why error) error {
	aside := s.path + ".damaged"
	if err := os.Rename(s.path, aside); err != nil {
		return fmt.Errorf("%w; and it cannot be set aside: %w", why, err)
	}
	s.setAside = fmt.Errorf("%w as %s: %w", ErrSetAside, aside, why)
	return nil
}

// guard turns panics of the database into ErrCorrupt, including the fault for a page that the file does not have.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return do()
}
