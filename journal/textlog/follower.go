package textlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exile/journal"
)

const (
	maxBatch   = 1024         // entries that are delivered at once
	maxMatches = 16 * maxLogs // paths among which logs are chosen
)

// follower is one run of Follow.
type follower struct {
	cfg        Config
	from       journal.Start
	emit       func(journal.Batch) error
	beginning  bool // nothing was read yet
	resumed    bool // from names a place in text logs
	files      []*file
	complained map[string]error // what was last reported of a path
	missing    error            // logs that should be there, at the last look
	names      journal.Strings

	entries  []journal.Entry
	undated  int // of entries
	gaps     []journal.Gap
	position journal.Position // of the last batch
	caughtUp bool             // likewise
	troubled string           // likewise
}

func newFollower(cfg Config, from journal.Start, emit func(journal.Batch) error) *follower {
	return &follower{
		cfg: cfg, from: from, emit: emit, position: from.Resume, beginning: true,
		complained: make(map[string]error),
	}
}

// paths returns the logs to follow now.
func (f *follower) paths() []string {
	var paths []string
	seen := make(map[string]bool)
	for _, pattern := range f.cfg.Paths {
		more, err := f.cfg.expand(pattern)
		if len(more) == 0 && err != nil {
			f.complain(pattern, err)
		} else if isPattern(pattern) {
			delete(f.complained, pattern)
		}
		for _, path := range more {
			if !seen[path] && len(paths) < maxMatches {
				seen[path] = true
				paths = append(paths, path)
			}
		}
	}
	if len(paths) <= maxLogs {
		delete(f.complained, "")
		return paths
	}
	f.complain("", fmt.Errorf("more than %d text logs at %s: name fewer; those that changed last are read",
		maxLogs, strings.Join(f.cfg.Paths, " or ")))
	return f.newest(paths)[:maxLogs]
}

// newest sorts paths: those that are being read, and then those that changed last.
func (f *follower) newest(paths []string) []string {
	rank := make(map[string]time.Time, len(paths))
	for _, path := range paths {
		if info, err := f.cfg.stat(path); err == nil {
			rank[path] = info.ModTime()
		}
	}
	for _, one := range f.files {
		if !one.moved {
			rank[one.log] = time.Unix(1<<40, 0)
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return rank[b].Compare(rank[a]) })
	return paths
}

func (f *follower) gap(g journal.Gap) { f.gaps = append(f.gaps, g) }

// drain reads until there is nothing more to read, or ctx ends.
func (f *follower) drain(ctx context.Context) error {
	f.beginning = false
	for ctx.Err() == nil {
		f.fill()
		f.merge()
		caughtUp := !slices.ContainsFunc(f.files, func(o *file) bool { return o.ready || !o.eof && !o.failed })
		if err := f.flush(caughtUp); err != nil {
			return err
		}
		if caughtUp {
			return nil
		}
	}
	return nil
}

// fill reads on in all files.
func (f *follower) fill() {
	for _, one := range slices.Clone(f.files) {
		err := one.fill(f.cfg.reference())
		if errors.Is(err, errTruncated) {
			err = f.truncated(one)
		}
		if err != nil && !one.failed {
			f.gap(journal.Gap{Kind: journal.GapUnreadable, File: one.name, Err: err})
		}
		one.failed = err != nil
		if one.cut > 0 {
			f.gap(journal.Gap{Kind: journal.GapTruncated, File: one.name, Entries: one.cut, Err: fmt.Errorf(
				"lines longer than %d bytes, of which the rest was not read", maxLine)})
			one.cut = 0
		}
	}
}

// merge takes lines from all files in the order of their times, until one of the files has to read on.
func (f *follower) merge() {
	for len(f.entries) < maxBatch {
		first := f.first()
		if first == nil {
			return
		}
		f.add(first)
		if !first.prepare(f.cfg.reference()) && !first.eof {
			return
		}
	}
}

// first returns the file with the oldest line; if two have the same time, the rotated one.
func (f *follower) first() *file {
	var first *file
	for _, one := range f.files {
		if !one.ready {
			continue
		}
		if first == nil || one.line.Time.Before(first.line.Time) ||
			one.line.Time.Equal(first.line.Time) && one.moved && !first.moved {
			first = one
		}
	}
	return first
}

// add adds the next line of a file to the batch, unless it is older than wanted.
func (f *follower) add(one *file) {
	line := one.line
	one.take()
	replayed := one.offset <= one.resume
	since := f.from.Since
	if (replayed || !f.resumed) && !since.IsZero() && line.Time.Before(since) {
		return
	}
	if one.undated && !replayed {
		f.undated++
	}
	f.entries = append(f.entries, journal.Entry{
		Position:   one.position(),
		Time:       line.Time,
		PID:        line.PID,
		Identifier: f.names.Of(line.Identifier),
		Transport:  "text",
		Log:        one.log,
		Message:    line.Message,
		Fields:     line.Fields(),
		Replayed:   replayed,
	})
}

// flush delivers the batch, if there is anything in it.
func (f *follower) flush(caughtUp bool) error {
	position := f.position
	if len(f.files) > 0 {
		position = join(f.files)
	}
	trouble, text := f.trouble(), ""
	if trouble != nil {
		text = trouble.Error()
	}
	if len(f.entries) == 0 && len(f.gaps) == 0 && position == f.position && caughtUp == f.caughtUp && text == f.troubled {
		return nil
	}
	batch := journal.Batch{Entries: f.entries, Gaps: f.gaps, Position: position, CaughtUp: caughtUp, Undated: f.undated, Trouble: trouble}
	f.entries, f.gaps, f.undated = f.entries[:0], nil, 0
	f.position, f.caughtUp, f.troubled = position, caughtUp, text
	return f.emit(batch)
}

// trouble is what keeps us from reading a log now: we may not read it, or there is none.
func (f *follower) trouble() error {
	if len(f.complained) > 0 {
		return f.complained[slices.Min(slices.Collect(maps.Keys(f.complained)))]
	}
	return f.missing
}

// miss notes which logs that are needed are not there.
func (f *follower) miss() {
	var all []error
	for _, set := range f.cfg.Needed {
		if !f.has(set) {
			all = append(all, fmt.Errorf("no text log at %s: %w; start what writes it, or correct logpath", strings.Join(set, " or "), fs.ErrNotExist))
		}
	}
	f.missing = errors.Join(all...)
}

// has reports whether a log is read that one of these patterns matches, or what such a log was rotated to.
func (f *follower) has(patterns []string) bool {
	return slices.ContainsFunc(f.files, func(one *file) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool { return pattern == one.log || IsLog(pattern, filepath.Clean(one.log)) })
	})
}

// drop forgets a file.
func (f *follower) drop(one *file) {
	one.close()
	f.files = slices.DeleteFunc(f.files, func(o *file) bool { return o == one })
}

func (f *follower) close() {
	for _, one := range f.files {
		one.close()
	}
}
