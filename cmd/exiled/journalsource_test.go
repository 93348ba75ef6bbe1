package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"exile/journal"
	"exile/journal/journalfile"
)

// scripted is a source that tells where it was started and ends with an error.
type scripted struct {
	from []journal.Start
	err  error
}

func (s *scripted) Follow(_ context.Context, from journal.Start, emit func(journal.Batch) error) error {
	s.from = append(s.from, from)
	return errors.Join(emit(journal.Batch{Position: journal.Position{Seqnum: 7}}), s.err)
}

func found(s journal.Source) func() (journal.Source, error) {
	return func() (journal.Source, error) { return s, nil }
}

func TestJournalSource(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	files := &scripted{err: fmt.Errorf("follow journal: %w: flags 0x100", journalfile.ErrUnsupported)}
	child := &scripted{}
	e := &journalSource{
		files: found(files), child: func() (journal.Source, error) { return child, nil },
		log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	ignore := func(journal.Batch) error { return nil }
	if err := e.instead(); err != nil {
		t.Errorf("at first: %v", err)
	}
	if err := e.Follow(t.Context(), journal.Start{}, ignore); !errors.Is(err, journalfile.ErrUnsupported) {
		t.Errorf("follow files: %v", err)
	}
	if !errors.Is(e.instead(), journalfile.ErrUnsupported) || !strings.Contains(log.String(), "0x100") {
		t.Errorf("reason %v, log %q", e.instead(), log.String())
	}
	resume := journal.Start{Resume: journal.Position{Seqnum: 7}}
	if err := e.Follow(t.Context(), resume, ignore); err != nil || len(files.from) != 1 || child.from[0] != resume {
		t.Errorf("follow journalctl: %v, files started %v, journalctl %v", err, files.from, child.from)
	}
}

// TestJournalSourceWithoutChild: where there is no journalctl the files are tried again, and the error says both.
func TestJournalSourceWithoutChild(t *testing.T) {
	t.Parallel()
	missing := errors.New("no journalctl")
	e := &journalSource{
		files: found(&scripted{err: journalfile.ErrUnsupported}), child: func() (journal.Source, error) { return nil, missing },
		log: slog.New(slog.DiscardHandler),
	}
	for range 2 {
		err := e.Follow(t.Context(), journal.Start{}, func(journal.Batch) error { return nil })
		if !errors.Is(err, journalfile.ErrUnsupported) || !errors.Is(err, missing) || e.instead() != nil {
			t.Errorf("follow: %v, instead %v", err, e.instead())
		}
	}
}

// TestJournalSourceLooksAgain: a journal that cannot be read is looked for each time, and is read as soon as it is there.
func TestJournalSourceLooksAgain(t *testing.T) {
	t.Parallel()
	missing := errors.New("no journal")
	files := &scripted{}
	e := &journalSource{files: func() (journal.Source, error) { return files, missing }}
	ignore := func(journal.Batch) error { return nil }
	if err := e.Follow(t.Context(), journal.Start{}, ignore); !errors.Is(err, missing) || len(files.from) > 0 {
		t.Errorf("follow: %v, files started %v", err, files.from)
	}
	missing = nil
	if err := e.Follow(t.Context(), journal.Start{}, ignore); err != nil || len(files.from) != 1 {
		t.Errorf("follow: %v, files started %v", err, files.from)
	}
}
