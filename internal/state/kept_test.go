package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKept: what was kept last is there, whole, with nothing beside it, and is not written again.
func TestKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Kept(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing kept: %v", err)
	}
	var last os.FileInfo
	for i, text := range []string{"one", "two, longer", "", "three", "three"} {
		if err := Keep(dir, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := Kept(dir); err != nil || string(got) != text {
			t.Errorf("kept %q, %v, want %q", got, err, text)
		}
		info, err := os.Stat(filepath.Join(dir, KeptName))
		if err != nil {
			t.Fatal(err)
		}
		if same := last != nil && os.SameFile(last, info); same != (i == 4) || info.Mode() != 0o600 {
			t.Errorf("%q: the same file: %t, mode %v", text, same, info.Mode())
		}
		last = info
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("beside it there is %v, %v", all, err)
	}
	if err := Keep(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestKeptPlain: what is no file neither stops a start nor is followed.
func TestKeptPlain(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(path string) error{
		"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"link":   func(path string) error { return os.Symlink("/etc/passwd", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		dir := t.TempDir()
		if err := errors.Join(make(filepath.Join(dir, KeptName)), make(filepath.Join(dir, KeptName+".new"))); err != nil {
			t.Fatal(err)
		}
		if got, err := Kept(dir); err == nil {
			t.Errorf("%s: kept is %q", name, got)
		}
		if err := Keep(dir, []byte("x")); err == nil {
			t.Errorf("%s: it is written to", name)
		}
	}
}
