// Package textlog follows text logs (auth.log, secure, a service's own log) as a [journal.Source].
//
// A log is followed through rotation by rename and by copying and truncating; a rotated file is read to its end, for a
// minute after its last line, so that what a slow writer still puts there is not lost. Rotations are found beside the
// log by their names: name.1, name-20260102. Compressed ones are not read.
//
// # What an entry of a text log is worth
//
// The time is that of the stamp in the line. A stamp without a year is of the last such day before the file was
// modified; a line without a stamp, or with one more than a day in the future, takes the time of the line before it, or,
// as the first of a file, that of the file's modification; the batch counts such lines. UID is 0, because only the system's
// logger writes to such a file; but unlike journald that logger does not vouch for the tag in the line: whoever may log on
// the host can claim to be sshd. Prefer the journal where there is one. Unit and Boot are unknown; Transport is "text".
// "last message repeated 3 times", of BSD's syslogd, becomes "message repeated 3 times: [ ... ]", of the program that the line
// before was from.
package textlog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exile/journal"
)

// Config says which logs to follow.
type Config struct {
	// Paths are absolute; the last part and those before may hold patterns of filepath.Match. Files may appear later.
	Paths []string
	// Location is the zone of stamps that name none; nil is time.Local.
	Location *time.Location
}

// Source is the lines of some text logs as one stream: in the order of time while there is much to read, then as they
// come. The position of a batch says where all logs stand; that of an entry names only its own.
type Source struct{ cfg Config }

var _ journal.Source = (*Source)(nil)

// New checks cfg. It opens nothing.
func New(cfg Config) (*Source, error) {
	if len(cfg.Paths) == 0 {
		return nil, errors.New("follow text logs: no path given")
	}
	for _, path := range cfg.Paths {
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			return nil, fmt.Errorf("follow text log %q: the path must be absolute", path)
		}
		if _, err := filepath.Match(path, ""); err != nil {
			return nil, fmt.Errorf("follow text log %q: %w", path, err)
		}
	}
	cfg.Paths = slices.Clone(cfg.Paths)
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	return &Source{cfg: cfg}, nil
}

// Follow is the method of [journal.Source]. A log that cannot be opened or read is a gap, reported once, and tried again.
// A position of a journal is taken for none.
func (s *Source) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	f := newFollower(s.cfg, from, emit)
	defer f.close()
	watch := newWatch(s.cfg.Paths)
	defer watch.close()
	stop := context.AfterFunc(ctx, watch.interrupt)
	defer stop()

	if err := f.begin(); err != nil {
		return err
	}
	for {
		if err := f.drain(ctx); err != nil {
			return err
		}
		changed := watch.wait(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if changed {
			watch.arm()
			f.scan(time.Now())
		}
	}
}
