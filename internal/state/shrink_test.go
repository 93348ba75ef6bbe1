package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

// swollen makes a file large with bans that are deleted afterwards, and returns its size and contents.
func swollen(t *testing.T, s *Store) (size int64, want Contents) {
	t.Helper()
	commit(t, s, sample(1))
	want = load(t, s)
	many := Batch{Bans: map[Who]control.Ban{}, Lifted: map[Who]bool{}}
	for i := range 30_000 {
		many.Bans[who(1000+i)] = ban(who(1000+i), i)
		many.Lifted[who(1000+i)] = true
	}
	commit(t, s, Batch{Bans: many.Bans})
	commit(t, s, Batch{Lifted: many.Lifted})
	return sizeOf(t, s), want
}

func sizeOf(t *testing.T, s *Store) int64 {
	t.Helper()
	info, err := os.Stat(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// The space of flushed bans is returned when the file is opened and while it is in use, and nothing is lost. Leftovers of another attempt do not
// matter.
func TestShrink(t *testing.T) {
	t.Parallel()
	for name, shrink := range map[string]func(t *testing.T, s *Store) *Store{
		"opened": func(t *testing.T, s *Store) *Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, filepath.Dir(s.path))
		},
		"in use": func(t *testing.T, s *Store) *Store {
			if err := s.Purge(time.Time{}); err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			size, want := swollen(t, s)
			if err := os.WriteFile(s.path+newSuffix, []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
			s = shrink(t, s)
			if smaller := sizeOf(t, s); smaller > size/4 {
				t.Errorf("the file has %d bytes of %d", smaller, size)
			}
			if _, err := os.Stat(s.path + newSuffix); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("another file is left: %v", err)
			}
			commit(t, s, Batch{Bans: map[Who]control.Ban{who(7): ban(who(7), 7)}})
			want.Bans[who(7)] = ban(who(7), 7)
			if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, load(t, open(t, filepath.Dir(s.path))), compare); diff != "" {
				t.Errorf("opened again (-want +got):\n%s", diff)
			}
		})
	}
}

// A process that waited for the lock while the file was replaced does not use the old one.
func TestShrinkKeepsOthersOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		swollen(t, s)
		second := make(chan error)
		go func() {
			other, err := Open(filepath.Dir(s.path))
			if err == nil {
				_ = other.Close()
			}
			second <- err
		}()
		time.Sleep(time.Second) // it waits
		if err := s.Purge(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := <-second; !errors.Is(err, ErrLocked) {
			t.Errorf("error %v, want ErrLocked", err)
		}
	})
}

// A disk without room for the copy only means that the file stays large.
func TestShrinkWithoutRoom(t *testing.T) {
	t.Parallel()
	dir := ownMounts(t, "40m")
	s := open(t, dir)
	size, want := swollen(t, s)
	fillDisk(t, dir+"/ballast")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if s.Err() != nil || sizeOf(t, s) != size {
		t.Errorf("%d bytes of %d: %v", sizeOf(t, s), size, s.Err())
	}
	if diff := cmp.Diff(want, load(t, s), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
