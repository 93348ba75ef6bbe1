package main

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"exile/internal/config"
	"exile/internal/setup"
	"exile/journal"
	"exile/journal/merge"
)

// late is a source that is there at the third attempt, and goes once.
type late struct {
	attempts int
	from     []journal.Start
}

func (s *late) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	s.attempts++
	s.from = append(s.from, from)
	if s.attempts < 3 {
		return fs.ErrNotExist
	}
	at := uint64(s.attempts)
	entry := journal.Entry{Time: time.Now(), Message: []byte("late")}
	if err := emit(journal.Batch{Entries: []journal.Entry{entry}, Position: journal.Position{Seqnum: at, Realtime: at}, CaughtUp: true}); err != nil {
		return err
	}
	if s.attempts == 3 {
		return errors.New("it went")
	}
	<-ctx.Done()
	return nil
}

// steady delivers an entry each second.
type steady struct{}

func (steady) Follow(ctx context.Context, _ journal.Start, emit func(journal.Batch) error) error {
	for n := uint64(1); ; n++ {
		entry := journal.Entry{Time: time.Now(), Message: []byte("steady")}
		if err := emit(journal.Batch{Entries: []journal.Entry{entry}, Position: journal.Position{Seqnum: n, Realtime: n}, CaughtUp: true}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// TestAwaited: a namespace that is not there keeps nobody waiting, is read when it comes, and goes on where it was when it comes again.
func TestAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &late{}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var steadies, lates int
		var troubles []error
		err := merge.New(steady{}, &awaited{source}).Follow(ctx, journal.Start{}, func(b journal.Batch) error {
			for _, e := range b.Entries {
				if string(e.Message) == "late" {
					lates++
				} else {
					steadies++
				}
			}
			if n := len(troubles); b.Trouble != nil && (n == 0 || troubles[n-1].Error() != b.Trouble.Error()) {
				troubles = append(troubles, b.Trouble)
			}
			return nil
		})
		if err != nil || steadies < 15 || lates != 2 || source.attempts != 4 {
			t.Errorf("%v: %d steady, %d late, %d attempts", err, steadies, lates, source.attempts)
		}
		if len(troubles) != 2 || !errors.Is(troubles[0], fs.ErrNotExist) {
			t.Errorf("troubles %v", troubles)
		}
		if last := source.from[len(source.from)-1].Resume; last.Seqnum != 3 {
			t.Errorf("it went on at %v", last)
		}
	})
	failed := errors.New("the loop ends")
	err := (&awaited{steady{}}).Follow(t.Context(), journal.Start{}, func(journal.Batch) error { return failed })
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
}

// TestWatchedIn: only units whose lines are read in the journal have namespaces to be asked for.
func TestWatchedIn(t *testing.T) {
	t.Parallel()
	all := []*setup.Reading{
		{Part: &config.Part{Units: []string{"b.service", "a.service"}}},
		{Part: &config.Part{Units: []string{"a.service"}}},
		{Part: &config.Part{Units: []string{"c.service"}}, Logs: []string{"/var/log/c.log"}},
	}
	if got := watchedIn(all); len(got) != 2 || got[0] != "a.service" || got[1] != "b.service" {
		t.Errorf("%q", got)
	}
}
