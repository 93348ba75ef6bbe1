package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// KeptName is the name of the file in which the last good configuration is kept. It is not part of the state file, whose place the
// configuration names, so that it can be found when the configuration cannot be read, and damage to one file does not affect the other. Only the daemon trusts it.
const KeptName = "configuration.json"

// maxKept is the maximum size that is read: the most that config.Pack writes, all of it escaped.
const maxKept = 32 << 20

// plain makes an open not wait for the other end of a pipe, and not follow a link.
const plain = unix.O_NONBLOCK | unix.O_NOFOLLOW

// Keep replaces the configuration that is kept in dir, atomically and durably.
func Keep(dir string, packed []byte) error {
	if before, err := Kept(dir); err == nil && bytes.Equal(before, packed) {
		return nil
	}
	path := filepath.Join(dir, KeptName)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|plain, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(packed)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// Kept returns the configuration that is kept.
func Kept(dir string) ([]byte, error) {
	f, err := os.OpenFile(filepath.Join(dir, KeptName), os.O_RDONLY|plain, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", f.Name()))
	}
	packed, err := io.ReadAll(io.LimitReader(f, maxKept+1))
	if err == nil && len(packed) > maxKept {
		err = fmt.Errorf("%s is larger than %d bytes", f.Name(), maxKept)
	}
	return packed, err
}
