package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"exile/journal"
	"exile/journal/journalfile"
)

// journalSource reads the files of the journal. Once they have a format that we do not know, which may be after an update of systemd while we
// run, it switches to journalctl for good.
type journalSource struct {
	files func() (journal.Source, error) // opens the files of the journal
	child func() (journal.Source, error) // makes the source that uses journalctl
	other journal.Source                 // that source; nil while files are read
	why   atomic.Pointer[error]          // why journalctl is used; read by the loop of the daemon
	log   *slog.Logger
}

// Follow implements journal.Source. When it switches it fails with the reason; the next call continues with journalctl.
func (e *journalSource) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	if e.other != nil {
		return e.other.Follow(ctx, from, emit)
	}
	files, err := e.files()
	if err == nil {
		err = files.Follow(ctx, from, emit)
	}
	if errors.Is(err, journalfile.ErrUnsupported) {
		return errors.Join(err, e.change(err))
	}
	return err
}

// change switches to journalctl.
func (e *journalSource) change(reason error) error {
	other, err := e.child()
	if err != nil {
		return err
	}
	e.log.Warn("Reading the journal through journalctl", "reason", reason)
	e.other = other
	e.why.Store(&reason)
	return nil
}

// instead returns why journalctl is used; nil: it is not.
func (e *journalSource) instead() error {
	if why := e.why.Load(); why != nil {
		return *why
	}
	return nil
}
