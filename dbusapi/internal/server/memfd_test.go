package server

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"exile/dbusapi/internal/bus"
)

// A file can be read from its start, and cannot be changed.
func TestFilesAreSealed(t *testing.T) {
	t.Parallel()
	f, err := makeFile("test", func(w io.Writer) error {
		_, err := io.WriteString(w, "bans")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	theirs := openAgain(t, f)
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

func openAgain(t *testing.T, f *os.File) *os.File {
	t.Helper()
	theirs, err := reopen(f)
	if err != nil {
		t.Fatal(err)
	}
	return theirs
}

// What peers hold is counted until they close it; root may hold any number.
func TestOpenFilesAreFew(t *testing.T) {
	t.Parallel()
	files := newOpenFiles()
	var releases []func()
	for range maxOpenFiles {
		release, err := files.reserve(false)
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, release)
	}
	_, err := files.reserve(false)
	if e, ok := errors.AsType[*dbus.Error](err); !ok || e.Name != bus.LimitsExceeded {
		t.Errorf("one more: %v", err)
	}
	if _, err := files.reserve(true); err != nil {
		t.Errorf("root: %v", err)
	}

	f, err := makeFile("test", func(io.Writer) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	theirs := openAgain(t, f)
	copied, err := unix.Dup(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	if !openElsewhere(f) {
		t.Error("a peer with a copy does not count")
	}
	closed := make(chan struct{})
	go func() {
		files.watch(f, releases[0])
		close(closed)
	}()
	_ = unix.Close(copied)
	<-closed
	if _, err := files.reserve(false); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
}

// One reply that takes memory is made at a time.
func TestLargeRepliesTakeTurns(t *testing.T) {
	t.Parallel()
	s := &session{large: make(chan struct{}, 1)}
	first, second := &Call{ctx: t.Context(), session: s}, &Call{ctx: t.Context(), session: s}
	if err := first.TakeLargeSlot(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- second.TakeLargeSlot() }()
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
