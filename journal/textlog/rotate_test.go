package textlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/journal"
)

func TestRotationByRename(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	appendTo(t, log, stamped(0, "one"))
	r := start(t, journal.Start{}, log)
	r.untilLines(1)
	appendTo(t, log, stamped(1, "two"))
	ok(t, os.Rename(log, log+".1"))
	appendTo(t, log+".1", stamped(2, "three")) // the writer has not heard of it yet
	appendTo(t, log, stamped(4, "five"))
	r.untilLines(4)
	appendTo(t, log+".1", stamped(3, "four, late"))
	r.untilLines(5)
	r.want("one", "two", "three", "five", "four, late")
	r.wantGaps()
}

// TestRotationTwice: the file in the middle came and went before anybody looked.
func TestRotationTwice(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	log := filepath.Join(folder, "auth.log")
	appendTo(t, log, stamped(0, "one"))
	ok(t, os.Chtimes(log, time.Time{}, epoch))
	f := newFollower(Config{Paths: []string{log}, Location: time.UTC}, journal.Start{}, nil)
	defer f.close()
	r := &reader{t: t}
	f.emit = func(b journal.Batch) error {
		for _, e := range b.Entries {
			r.lines = append(r.lines, string(e.Message))
		}
		return nil
	}
	ok(t, f.begin())
	ok(t, f.drain(t.Context()))
	ok(t, os.Rename(log, log+".2"))
	appendTo(t, log+".1", stamped(1, "two"))
	appendTo(t, log, stamped(2, "three"))
	f.scan(time.Now())
	ok(t, f.drain(t.Context()))
	r.want("one", "two", "three")

	if len(f.files) != 3 {
		t.Errorf("%d files open, want 3", len(f.files))
	}
	appendTo(t, log+".1", "no end")
	ok(t, f.drain(t.Context()))
	f.scan(time.Now().Add(2 * grace)) // as if time had passed
	if len(f.files) != 1 || f.files[0].name != log {
		t.Errorf("the rotated files are still open: %d files", len(f.files))
	}
	if len(f.gaps) != 1 || f.gaps[0].Kind != journal.GapTruncated || f.gaps[0].File != log+".1" {
		t.Errorf("gaps %v, want the line without an end", f.gaps)
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	ok(t, err)
	ok(t, os.WriteFile(to, data, 0o600))
}

func TestCopyTruncate(t *testing.T) {
	t.Parallel()
	for _, sparse := range []bool{false, true} {
		t.Run(fmt.Sprintf("sparse=%v", sparse), func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "auth.log")
			appendTo(t, log, stamped(0, "one"))
			r := start(t, journal.Start{}, log)
			r.untilLines(1)
			// All at once for the reader, or step by step: the result is the same.
			f, err := os.OpenFile(log, os.O_WRONLY, 0)
			ok(t, err)
			defer f.Close()
			appendTo(t, log, stamped(1, "two"))
			copyTo(t, log, log+".1")
			ok(t, os.Truncate(log, 0))
			if sparse { // a writer without O_APPEND goes on where it was: NULs fill the file before
				_, err = f.WriteAt([]byte(stamped(2, "three")), 300_000)
				ok(t, err)
			} else {
				appendTo(t, log, stamped(2, "three"))
			}
			r.untilLines(3)
			r.want("one", "two", "three")
			r.wantGaps()
		})
	}
}

func TestTruncatedWithoutCopy(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	appendTo(t, log, stamped(0, "one"), stamped(1, "two"))
	r := start(t, journal.Start{}, log)
	r.untilLines(2)
	ok(t, os.WriteFile(log, []byte(stamped(2, "3")), 0o600))
	r.untilLines(3)
	r.want("one", "two", "3")
	r.wantGaps(journal.GapTruncated)
}

// TestManyLines: more than fits the buffers, rotated again and again while it is read: each line once, in order.
func TestManyLines(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	const lines, rotations = 20_000, 4
	r := start(t, journal.Start{}, log)
	r.untilLines(0)
	go func() {
		for n := range rotations {
			var text strings.Builder
			for i := range lines {
				text.WriteString(stamped(0, fmt.Sprintf("%d %s", n*lines+i, strings.Repeat("x", i%50))))
			}
			if n > 0 {
				_ = os.Rename(log, fmt.Sprintf("%s.%d", log, rotations-n))
			}
			_ = os.WriteFile(log, []byte(text.String()), 0o600)
		}
	}()
	r.untilLines(lines * rotations)
	seen := make([]bool, lines*rotations)
	for _, line := range r.lines {
		var n int
		if _, err := fmt.Sscanf(line, "%d", &n); err != nil || seen[n] {
			t.Fatalf("line %q: %v, or seen before", line, err)
		}
		seen[n] = true
	}
	if len(r.lines) != len(seen) {
		t.Errorf("%d lines, want %d", len(r.lines), len(seen))
	}
	r.wantGaps()
}

// TestManyRotations: a folder full of names that look like rotations leaves room for other logs.
func TestManyRotations(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	log, other := filepath.Join(folder, "a.log"), filepath.Join(folder, "b.log")
	for i := range 2 * maxFiles {
		ok(t, os.WriteFile(fmt.Sprintf("%s.%d", log, i+1), nil, 0o600))
	}
	appendTo(t, log, stamped(0, "one"))
	appendTo(t, other, stamped(1, "two"))
	r := start(t, journal.Start{}, log, other)
	r.untilLines(2)
	r.want("one", "two")
	r.wantGaps()
}
