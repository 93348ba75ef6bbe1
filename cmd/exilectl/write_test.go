package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReplaceFile: users who could read a file can read its replacement.
func TestReplaceFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "exile.yaml")
	owner := os.Getgid()
	if os.Geteuid() == 0 {
		owner = 4711
	}
	check := func(text string, mode os.FileMode, gid int) {
		t.Helper()
		if err := replaceFile(path, text); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := info.Sys().(*syscall.Stat_t); !ok || info.Mode() != mode || int(was.Gid) != gid {
			t.Errorf("%s: it is %v of %+v", text, info.Mode(), was)
		}
	}
	check("new", 0o644, os.Getgid())
	if err := errors.Join(os.Chown(path, -1, owner), os.Chmod(path, 0o640)); err != nil {
		t.Fatal(err)
	}
	check("replaced", 0o640, owner)
}

// TestAnswered: a question is answered by a line, or by ^C.
func TestAnswered(t *testing.T) {
	t.Parallel()
	if line, err := answered(t.Context(), strings.NewReader("edit\nquit\n")); err != nil || line != "edit\n" {
		t.Errorf("read %q, %v", line, err)
	}
	waits, end := io.Pipe()
	defer end.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if line, err := answered(ctx, waits); !errors.Is(err, context.Canceled) {
		t.Errorf("after ^C: %q, %v", line, err)
	}
}
