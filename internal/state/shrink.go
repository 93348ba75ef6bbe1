package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// The database never gives space back: a file that once had a million bans stays as large, and is read from end to end at
// each start.

const (
	// worthwhile is how large a file has to be to be made smaller, bytes.
	worthwhile = 4 << 20
	// shrinkStep is how much is copied in one transaction, bytes.
	shrinkStep = 16 << 20
	// newSuffix is what the file is called while it is not whole.
	newSuffix = ".new"
)

// shrink puts what is stored into a new file, which takes the place of the old one when it is on disk, if more than half of the
// old one is free. What goes wrong before that leaves the old one in use.
//
// The new file is locked before it has the name, so that no other process can begin to use it. One that waits for the lock of
// the old file finds that this has no name any more, see openFile.
func (s *Store) shrink() error {
	mostly, err := mostlyFree(s.path)
	if err != nil || !mostly {
		return err
	}
	path := s.path + newSuffix
	if err := removeIfThere(path); err != nil {
		return err
	}
	smaller, err := openFile(path, false)
	if err != nil {
		return fmt.Errorf("shrink: %w", err)
	}
	err = guard(func() error { return bolt.Compact(smaller, s.db, shrinkStep) })
	if err == nil {
		err = os.Rename(path, s.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("shrink: %w", err), smaller.Close(), removeIfThere(path))
	}
	old := s.db
	s.db = smaller
	return errors.Join(syncDir(filepath.Dir(s.path)), old.Close())
}

// mostlyFree reports whether a file is large and more than half of it free.
func mostlyFree(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	p, err := openPages(f)
	if err != nil || p.n*p.size < worthwhile {
		return false, err
	}
	free, err := p.freePages()
	return 2*free > p.n, err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !isMissing(err) {
		return err
	}
	return nil
}

// syncDir brings the names in a directory to disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
