// Package textlog follows text logs (auth.log, secure, a service's own log) as a [journal.Source].
//
// A log is followed through rotation by rename and by copying and truncating; a rotated file is read until a
// minute after its last line, so that nothing of a slow writer is lost. Rotations are found beside the
// log by their names: access.log.1, access.log-20260102, access-20260102.log. Compressed ones are not read. A pattern
// matches logs only, not what they were rotated to.
//
// # The logs of services
//
// In a log of [FormLine] the message is the whole line. Its time is a stamp at the beginning, with or without a bracket before it,
// the stamp of the Common Log Format anywhere, or a member of the object if the line is one in JSON. Where a client can write
// stamps as well, the latest counts that is not in the future: what a client writes makes no attempt older than it is.
//
// # How far to trust an entry of a text log
//
// The time is that of the stamp in the line. A stamp without a year means the last such day before the file was
// modified; a line without a stamp, or with one more than a day in the future, gets the time of the line before it or, if it
// is the first of a file, that of the file's modification; the batch counts such lines. UID is 0, because only the system's
// logger writes to such a file; but unlike journald that logger does not vouch for the tag in the line: anyone who may log on
// the host can claim to be sshd. Prefer the journal if there is one. Unit and Boot are unknown; Transport is "text".
// "last message repeated 3 times", of BSD's syslogd, becomes "message repeated 3 times: [ ... ]", of the program that the line
// before was from.
package textlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exile/journal"
)

// Config says which logs to follow.
type Config struct {
	// Paths are absolute; each part may be a pattern of filepath.Match. Files may appear later.
	Paths []string
	// Needed are sets of Paths, in each of which a log should be there; a set without one is trouble. Empty: all are one set.
	Needed [][]string
	// Location is the zone of stamps that name none; nil is time.Local.
	Location *time.Location
	// Form is what the lines look like; empty is FormSyslog.
	Form Form
	// Open opens a log or, to list it, a folder, for reading, and without blocking. It is for those that only another process
	// may open. nil: as the daemon's own user.
	Open func(name string) (*os.File, error)
}

// reference is what the stamps of all lines may lack.
func (c Config) reference() Reference { return Reference{Location: c.Location, Form: c.Form} }

// Source is the lines of some text logs as one stream: in the order of time while there is much to read, then as they
// come. The position of a batch covers all logs; that of an entry only its own.
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
	if !cfg.Form.known() {
		return nil, fmt.Errorf("follow text logs: unknown form %q; there are %s, %s and %s", cfg.Form, FormSyslog, FormLine, FormDocker)
	}
	cfg.Paths = slices.Clone(cfg.Paths)
	if len(cfg.Needed) == 0 {
		cfg.Needed = [][]string{cfg.Paths}
	}
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	return &Source{cfg: cfg}, nil
}

// Follow is the method of [journal.Source]. A log that cannot be opened or read is a gap, reported once, and tried again.
// A position in a journal counts as none.
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
