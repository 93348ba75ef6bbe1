package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"exile/internal/allow"
)

// This file writes files as root, on a host where the daemon's user may be somebody else's.

// tried is the file of what root has put on trial, in a directory that only root can read.
const tried = "tried.yaml"

// runtimeDirectory holds it until the next boot.
func runtimeDirectory() string { return cmp.Or(os.Getenv("RUNTIME_DIRECTORY"), "/run/exilectl") }

// rememberTried keeps what is on trial for a confirm that names no file. Only root can: others name it.
func rememberTried(text string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir := runtimeDirectory()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return replaceFile(filepath.Join(dir, tried), text)
}

// forgetTried leaves nothing behind; if it cannot, the next trial will write over it.
func forgetTried() {
	if os.Geteuid() != 0 {
		return
	}
	_ = os.Remove(filepath.Join(runtimeDirectory(), tried))
	_ = os.Remove(runtimeDirectory())
}

// triedText returns what the user has put on trial: the file named, or what was remembered.
func triedText(files []string) (string, error) {
	if len(files) > 0 {
		text, err := os.ReadFile(files[0])
		return string(text), err
	}
	path := filepath.Join(runtimeDirectory(), tried)
	if err := onlyOurs(path); err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", errors.New("nothing that is on trial was remembered: name the file that you tried, as in exilectl confirm FILE")
	}
	return string(text), err
}

// onlyOurs refuses as root what others than root can change.
func onlyOurs(path string) error {
	if os.Geteuid() != 0 {
		return nil // other users can only write what is theirs
	}
	if err := allow.Loose(path); err != nil {
		return fmt.Errorf("%s is not only root's: %w", path, err)
	}
	return nil
}

// replaceFile gives a file, or what a link leads to, new content at once and for good, whatever happens meanwhile. It keeps
// the permissions, of which others' are read-only for a new file. As root it writes only where nobody else can put a link.
func replaceFile(path, text string) error {
	for _, p := range []string{path, filepath.Dir(path)} { // the file need not be there
		if err := onlyOurs(p); err != nil {
			return err
		}
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := os.CreateTemp(dir.Name(), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return dir.Sync()
}
