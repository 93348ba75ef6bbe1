package state

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/internal/control"
)

// ownMounts gives the test's thread a mount namespace of its own and a tmpfs of that many bytes in it.
func ownMounts(t *testing.T, size string) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root, so no disk can be made to fill up")
	}
	dir = t.TempDir()
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and its namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNS); errors.Is(err, unix.EPERM) {
		t.Skip("SKIPPED: no mount namespace may be made here")
	} else if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a full disk nothing that was stored is lost, and what was committed meanwhile is there when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := ownMounts(t, "1m")
	s := open(t, dir)
	want := NewContents()
	commit(t, s, sample(1))
	apply(&want, sample(1))
	fillDisk(t, dir+"/ballast")

	big := Batch{Bans: map[Who]control.Ban{}, Lifted: map[Who]bool{who(1): true}}
	for i := range 2000 {
		big.Bans[who(100+i)] = ban(who(100+i), i)
	}
	if err := s.Commit(big); !errors.Is(err, ErrFull) || !errors.Is(s.Err(), ErrFull) {
		t.Fatalf("commit on a full disk: %v; Err: %v", err, s.Err())
	}
	if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
		t.Fatalf("a commit that failed left (-want +got):\n%s", diff)
	}
	next := Batch{Lifted: map[Who]bool{who(100): true}, Bans: map[Who]control.Ban{who(5): ban(who(5), 5)}}
	if err := s.Commit(next); !errors.Is(err, ErrFull) {
		t.Fatalf("second commit on a full disk: %v", err)
	}

	if err := os.Remove(dir + "/ballast"); err != nil {
		t.Fatal(err)
	}
	commit(t, s, Batch{})
	apply(&want, big)
	apply(&want, next)
	if err := errors.Join(s.Err(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, load(t, open(t, dir)), compare); diff != "" {
		t.Errorf("after the disk had room (-want +got):\n%s", diff)
	}
}

// A disk that is full already when the daemon starts for the first time.
func TestFullDiskAtOpen(t *testing.T) {
	t.Parallel()
	dir := ownMounts(t, "1m")
	fillDisk(t, dir+"/ballast")
	s := open(t, dir)
	if !errors.Is(s.Err(), ErrFull) {
		t.Fatalf("Err: %v", s.Err())
	}
	if err := s.Commit(sample(1)); !errors.Is(err, ErrFull) {
		t.Fatalf("commit: %v", err)
	}
	if err := os.Remove(dir + "/ballast"); err != nil {
		t.Fatal(err)
	}
	commit(t, s, sample(2))
	want := NewContents()
	apply(&want, sample(1))
	apply(&want, sample(2))
	if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 16, 1 << 12} {
		for err == nil {
			_, err = f.Write(bytes.Repeat([]byte{1}, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// On a read-only file system the bans are known and the changes wait.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := ownMounts(t, "1m")
	s := open(t, dir)
	commit(t, s, sample(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	s = open(t, dir)
	want := NewContents()
	apply(&want, sample(1))
	if diff := cmp.Diff(want, load(t, s), compare); !errors.Is(s.Err(), ErrReadOnly) || diff != "" {
		t.Fatalf("Err: %v; (-want +got):\n%s", s.Err(), diff)
	}
	if err := s.Commit(sample(2)); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("commit: %v", err)
	}
	remount(0)
	commit(t, s, sample(3))
	apply(&want, sample(2))
	apply(&want, sample(3))
	if diff := cmp.Diff(want, load(t, s), compare); diff != "" || s.Err() != nil {
		t.Errorf("Err: %v; (-want +got):\n%s", s.Err(), diff)
	}
}

func many(n int) Batch {
	b := Batch{Bans: make(map[Who]control.Ban, n), Past: make(map[Who]Past, n)}
	for i := range n {
		b.Bans[who(i)] = ban(who(i), i)
		b.Past[who(i)] = Past{Offences: 1, Last: at(i)}
	}
	return b
}

func TestManyBans(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, many(100_000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want, got := many(100_000), load(t, open(t, dir))
	if !maps.Equal(want.Bans, got.Bans) || !maps.Equal(want.Past, got.Past) {
		t.Error("100,000 bans did not come back")
	}
}

func BenchmarkOpenAndLoad100k(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir)
	if err == nil {
		err = errors.Join(s.Commit(many(100_000)), s.Close())
	}
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		c, err := s.Load()
		if err != nil || len(c.Bans) != 100_000 || s.Close() != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommitOneBanOf100k(b *testing.B) {
	s, err := Open(b.TempDir())
	if err == nil {
		err = s.Commit(many(100_000))
	}
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		w := who(200_000 + i)
		i++
		if err := s.Commit(Batch{
			Marks: map[string]Mark{"journal": mark(i)},
			Bans:  map[Who]control.Ban{w: ban(w, i)}, Past: map[Who]Past{w: {Offences: 1, Last: at(i)}},
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
