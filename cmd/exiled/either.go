package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"exile/journal"
	"exile/journal/journalfile"
)

// either reads the files of the journal, and once they are in a format that we do not know, which may be after an update of
// systemd while we run, goes over to journalctl for good.
type either struct {
	files func() (journal.Source, error) // looks whether the journal can be read
	child func() (journal.Source, error) // makes the other source
	other journal.Source                 // nil while files are read
	why   atomic.Pointer[error]          // asked for by the daemon's loop
	log   *slog.Logger
}

// Follow implements journal.Source. When it goes over it fails with the reason; the next call goes on with journalctl.
func (e *either) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
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

// change goes over to journalctl.
func (e *either) change(reason error) error {
	other, err := e.child()
	if err != nil {
		return err
	}
	e.log.Warn("Reading the journal through journalctl", "reason", reason)
	e.other = other
	e.why.Store(&reason)
	return nil
}

// instead says why journalctl is used; nil: it is not.
func (e *either) instead() error {
	if why := e.why.Load(); why != nil {
		return *why
	}
	return nil
}
