package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// The database never returns space: a file that once had a million bans stays that large, and is read from end to end at each start.

const (
	// worthwhile is the size from which on a file is made smaller, in bytes.
	worthwhile = 4 << 20
	// shrinkStep is how much is copied in one transaction, in bytes.
	shrinkStep = 16 << 20
	// newSuffix is the suffix of a file that is not complete yet.
	newSuffix = ".new"
)

// shrink copies what is stored into a new file, if more than half of the old one is free. The new file replaces the old one when it is on
// disk; after an error before that, the old one stays in use.
//
// The new file is locked before it gets the name, so that no other process can start to use it. A process that waits for the lock of the old
// file finds that it has lost its name, see openFile.
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

// syncDir syncs a directory.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
