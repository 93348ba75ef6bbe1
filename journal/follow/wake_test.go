package follow

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"exile/journal"
	"exile/journal/internal/makejournal"
)

// wakes is a waiter in a directory where inotify says nothing. It notes when it was waited for.
type wakes struct{ at []time.Time }

func (w *wakes) add() {}

func (w *wakes) wait(ctx context.Context, d time.Duration) (changed bool, err error) {
	w.at = append(w.at, time.Now())
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return false, nil
}

// in counts the wakes from a time on.
func (w *wakes) in(from time.Time, d time.Duration) (n int) {
	for _, at := range w.at {
		if !at.Before(from) && at.Before(from.Add(d)) {
			n++
		}
	}
	return n
}

// TestWakes: every few ms while there was an entry within the last minute, and otherwise no more than twice a second.
func TestWakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "system.journal")
	w := makejournal.NewWriter(true, true, 0)
	log := func() {
		t.Helper()
		w.Add(journal.ID{1}, 1700000000000000+w.Seqnum*1000, w.Seqnum*1000, "MESSAGE=hello")
		if err := os.WriteFile(path+".new", w.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	log()
	s, err := New(Config{Dirs: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var waited wakes
		var came []time.Time
		r := s.reader(journal.Start{}, func(b journal.Batch) error {
			for range b.Entries {
				came = append(came, time.Now())
			}
			return nil
		})
		defer r.close()
		ended := make(chan error)
		go func() { ended <- r.run(ctx, &waited) }()
		start := time.Now()
		time.Sleep(10 * time.Minute)
		log()
		time.Sleep(2 * time.Minute)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if len(came) != 2 {
			t.Fatalf("%d entries, want 2", len(came))
		}
		if n := waited.in(start, hotFor); n < int(hotFor/hot) {
			t.Errorf("%d wakes in the minute after an entry, want one every %v", n, hot)
		}
		for idle := start.Add(hotFor + time.Second); idle.Before(start.Add(9 * time.Minute)); idle = idle.Add(time.Second) {
			if n := waited.in(idle, time.Second); n > 2 {
				t.Errorf("%d wakes in an idle second, %v after the only entry", n, idle.Sub(start))
			}
		}
		if late := came[1].Sub(start) - 10*time.Minute; late > rescan+cold {
			t.Errorf("an entry in a new file came %v after it was written", late)
		}
		if n := waited.in(came[1], hotFor); n < int(hotFor/hot)-1 {
			t.Errorf("%d wakes in the minute after another entry, want one every %v", n, hot)
		}
	})
}

// TestWithoutInotify: with as many jails as use up the user's watches, the journal is looked at by the clock, and entries and files are found.
func TestWithoutInotify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := makejournal.NewWriter(true, true, 0)
	write := func(name string) {
		t.Helper()
		w.Add(journal.ID{1}, 1700000000000000+w.Seqnum*1000, w.Seqnum*1000, "MESSAGE=hello")
		if err := os.WriteFile(filepath.Join(dir, name), w.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("system.journal")
	s, err := New(Config{Dirs: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		count := 0
		r := s.reader(journal.Start{}, func(b journal.Batch) error {
			count += len(b.Entries)
			return nil
		})
		defer r.close()
		none := &watch{dirs: []string{dir}}
		defer none.close()
		done := make(chan error)
		go func() { done <- r.run(ctx, none) }()
		time.Sleep(time.Second)
		write("system.journal")
		time.Sleep(rescan + cold)
		synctest.Wait()
		if count != 2 {
			t.Errorf("%d entries", count)
		}
		cancel()
		none.wake()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
