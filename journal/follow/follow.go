// Package follow is a journal.Source over journald's directories of journal files: files are created, renamed and removed,
// and there is one stream of entries, in order, each once.
package follow

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"exile/journal"
)

// Config says what to follow: the files of one journald. Each journal namespace has a journald of its own, with its own
// positions: follow it with another Source.
type Config struct {
	Dirs     []string         // where it keeps its files; at least one must be there, others may appear later
	Files    []string         // journal files wherever they are, for Read, in place of Dirs
	Select   journal.Selector // empty: everything
	AllUsers bool             // also the journals of users, not only that of the system
	Boot     journal.ID       // the running boot: it is the newest, whatever the clock says; zero: unknown
	Memory   string           // files below this folder do not outlive a boot; empty: /run
	Prefix   string           // fields with names that begin like this are delivered too; empty: none
	Fields   []string         // and those with these names
}

// Bounds of a batch.
const (
	maxEntries = 512
	maxBytes   = 1 << 20
	maxMessage = 64 << 10 // longer messages are cut
	maxField   = 4 << 10  // and so are other fields
	maxFields  = 64       // of an entry, that were asked for
)

// How long to wait for entries.
const (
	hot    = 3 * time.Millisecond   // between looks at the tail while entries come
	hotFor = time.Minute            // after the last entry
	cold   = 500 * time.Millisecond // longest time between looks if inotify is silent
	rescan = 2 * time.Second        // at most between looks for files, likewise
	moved  = time.Minute            // after that, a position that moved without entries gets a batch
)

// suppressed selects journald's own "Suppressed N messages from UNIT".
var suppressed = journal.Group{
	{Field: "MESSAGE_ID", Values: []string{"a596d6fe7bfa4994828e72309e95d61e"}},
	{Field: "_TRANSPORT", Values: []string{"driver"}},
}

// Source follows directories of journal files. It is a journal.Source.
type Source struct {
	cfg Config
	sel journal.Selector // what is wanted and, as the last group, what reports gaps
}

// New checks that the directories can be read and returns their source. An error that wraps journalfile.ErrUnsupported
// says that journald is newer than this package: then follow a journalctl child.
func New(cfg Config) (*Source, error) {
	wanted := cfg.Select
	if len(wanted) == 0 {
		wanted = journal.Selector{{}} // no terms: all entries
	}
	s := &Source{cfg: cfg, sel: append(slices.Clone(wanted), suppressed)}
	if err := check(cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// Follow implements journal.Source. It fails for good only if a file has an unknown format (then the error wraps
// journalfile.ErrUnsupported, and everything readable was delivered before) or if it cannot wait.
func (s *Source) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	w, err := newWatch(s.cfg.Dirs)
	if err != nil {
		return err
	}
	defer w.close()
	stop := context.AfterFunc(ctx, w.wake)
	defer stop()
	r := s.reader(from, emit)
	defer r.close()
	return r.run(ctx, w)
}

func (s *Source) reader(from journal.Start, emit func(journal.Batch) error) *reader {
	return &reader{
		Source: s, from: from, pos: from.Resume, emit: emit, known: make(map[key]*file),
		tails: make(map[journal.ID]journalTail), told: make(map[string]string),
		readers: min(maxReaders, runtime.GOMAXPROCS(0)),
	}
}

// waiter is a watch, or that of a test whose time is not the kernel's.
type waiter interface {
	add()
	wait(ctx context.Context, d time.Duration) (changed bool, err error)
}

// run alternates between reading all there is and waiting.
func (r *reader) run(ctx context.Context, w waiter) error {
	active, told := time.Time{}, time.Now()
	for look := true; ; {
		if look {
			w.add()
			r.scan()
		}
		if err := r.drain(ctx); err != nil || ctx.Err() != nil {
			return ignoreCancel(ctx, err)
		}
		now := time.Now()
		if r.delivered > 0 {
			active = now
		}
		if r.worthTelling(now.Sub(told)) {
			told = now
			if err := r.flush(true); err != nil {
				return err
			}
		}
		if r.fatal != nil {
			return fmt.Errorf("follow journal: %w", r.fatal)
		}
		wait := cold
		if now.Sub(active) < hotFor {
			wait = hot
		}
		changed, err := w.wait(ctx, wait)
		if err != nil {
			return fmt.Errorf("wait for journal: %w", err)
		}
		look = changed || now.Sub(r.scanned) >= rescan
	}
}

func ignoreCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

var _ journal.Source = (*Source)(nil)
