package accounts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A file that comes, is replaced, grows, or goes is a change; one that stays, or is only read, is none.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	put := func(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var changes atomic.Int64
		files := Watch(path, other)
		go files.Follow(ctx, func() { changes.Add(1) })
		for _, step := range []struct {
			what string
			do   func() error
			want int64
		}{
			{"nothing", func() error { return nil }, 0},
			{"comes", func() error { return put(path, "x") }, 1},
			{"is read", func() error { _, err := os.ReadFile(path); return err }, 0},
			{"grows", func() error { return put(path, "xy") }, 1},
			{"is replaced", func() error { return errors.Join(put(other+".new", "xy"), os.Rename(other+".new", path)) }, 1},
			{"both", func() error { return errors.Join(os.Remove(path), put(other, "")) }, 1},
			{"goes", func() error { return os.Remove(other) }, 1},
		} {
			before := changes.Load()
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * lookEvery)
			synctest.Wait()
			if n := changes.Load() - before; n != step.want {
				t.Errorf("%s: %d changes, want %d", step.what, n, step.want)
			}
		}
	})
}
