package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"exile/internal/allow"
)

// This file writes files as root, on a host where an attacker may control the daemon's user.

// tried is the file with the text that root has put on trial, in a directory that only root can read.
const tried = "tried.yaml"

// runtimeDirectory holds it until the next boot.
func runtimeDirectory() string { return cmp.Or(os.Getenv("RUNTIME_DIRECTORY"), "/run/exilectl") }

// makeRuntimeDirectory makes it for root alone.
func makeRuntimeDirectory() (string, error) {
	dir := runtimeDirectory()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, onlyOurs(dir)
}

// rememberTried keeps the text on trial for a confirm without a file name. Only root can do that: other users must name the
// file.
func rememberTried(text string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, err := makeRuntimeDirectory()
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, tried), text)
}

// forgetTried removes it; if that fails, the next trial overwrites it.
func forgetTried() {
	if os.Geteuid() != 0 {
		return
	}
	_ = os.Remove(filepath.Join(runtimeDirectory(), tried))
	_ = os.Remove(runtimeDirectory())
}

// triedText returns the text that the user has put on trial: from the named file, or the remembered one.
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
		return "", errors.New("no trial was remembered: name the file that you tried, as in exilectl confirm FILE")
	}
	return string(text), err
}

// onlyOurs refuses, as root, a file that other users can change.
func onlyOurs(path string) error {
	if os.Geteuid() != 0 {
		return nil // other users can only write their own files
	}
	if err := allow.Loose(path); err != nil {
		return fmt.Errorf("%s is not only root's: %w", path, err)
	}
	return nil
}

// replaceFile gives a file, or the target of a link, new content atomically and durably. It keeps the owner, the group and
// the permissions; a new file is read-only for others. As root it writes only where nobody else can put a link.
func replaceFile(path, text string) error {
	for _, p := range []string{path, filepath.Dir(path)} { // the file need not exist
		if err := onlyOurs(p); err != nil {
			return err
		}
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
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
	err = errors.Join(err, likeBefore(f, path), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return dir.Sync()
}

// likeBefore makes a new file readable for everybody who could read the old one. Only root can keep an owner.
func likeBefore(f *os.File, before string) error {
	info, err := os.Stat(before)
	if err != nil {
		return f.Chmod(0o644)
	}
	if was, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = f.Chown(int(was.Uid), int(was.Gid))
	}
	return errors.Join(err, f.Chmod(info.Mode().Perm()))
}
