package dbusapi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func fileCall(t *testing.T) *call {
	t.Helper()
	return &call{ctx: t.Context(), session: &session{service: New(Config{}), large: make(chan struct{}, 2*maxLent)}}
}

// A file can be read from its begin, and not be changed.
func TestFilesAreSealed(t *testing.T) {
	t.Parallel()
	f, err := fileCall(t).makeFile("test", func(w io.Writer) error {
		_, err := io.WriteString(w, "bans")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	theirs := reopen(t, f)
	defer theirs.Close()
	if text, err := io.ReadAll(theirs); string(text) != "bans" || err != nil {
		t.Errorf("the file has %q, %v", text, err)
	}
	if got, err := unix.FcntlInt(theirs.Fd(), unix.F_GET_SEALS, 0); got != seals || err != nil {
		t.Errorf("seals are %x, %v", got, err)
	}
	if _, err := theirs.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("writing: %v", err)
	}
	if info, err := theirs.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may open it: %v, %v", info.Mode(), err)
	}
}

func reopen(t *testing.T, f *os.File) *os.File {
	t.Helper()
	theirs, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	return theirs
}

// What peers hold is counted until they close it; root has any number.
func TestFewFilesAreLent(t *testing.T) {
	t.Parallel()
	c := fileCall(t)
	var backs []func()
	for range maxLent {
		back, err := c.borrow()
		if err != nil {
			t.Fatal(err)
		}
		backs = append(backs, back)
	}
	if _, err := c.borrow(); busError(err).Name != errLimitsExceeded {
		t.Errorf("one more: %v", err)
	}
	c.root = true
	if _, err := c.borrow(); err != nil {
		t.Errorf("root: %v", err)
	}
	c.root = false

	f, err := c.makeFile("test", func(io.Writer) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	theirs := reopen(t, f)
	copied, err := unix.Dup(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	if !held(f) {
		t.Error("a peer with a copy does not count")
	}
	lent := make(chan struct{})
	go func() {
		c.session.service.lend(f, backs[0])
		close(lent)
	}()
	_ = unix.Close(copied)
	<-lent
	if _, err := c.borrow(); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
}

// Few replies that take memory are made at once.
func TestLargeRepliesTakeTurns(t *testing.T) {
	t.Parallel()
	s := &session{large: make(chan struct{}, 1)}
	first, second := &call{ctx: t.Context(), session: s}, &call{ctx: t.Context(), session: s}
	if err := first.turn(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- second.turn() }()
	select {
	case err := <-done:
		t.Errorf("the second did not wait: %v", err)
	default:
	}
	<-s.large // the first is answered
	if err := <-done; err != nil {
		t.Error(err)
	}
}
