package textlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, path := range []string{
		"nginx/access.log", "nginx/access.log.1", "nginx/access.log.2.gz", "nginx/access.log-20261130", "nginx/access-20261129.log",
		"nginx/access.3.log", "nginx/access-2.log", "nginx/access.3.log.gz", "nginx/shop-20261129.log", "nginx/error.log", "nginx/notes",
		"apache-2.4/error.log", "apache2/error.log", "apache2/other.error.log", "apache.txt",
		"sites/a/logs/access.log", "sites/b/logs/error.log", "sites/c",
	} {
		ok(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o700))
		appendTo(t, filepath.Join(root, path))
	}
	for _, c := range []struct {
		pattern string
		want    []string
	}{
		{"nginx/*access.log", []string{"nginx/access.log"}},
		{"nginx/*.log", []string{"nginx/access-2.log", "nginx/access.log", "nginx/error.log", "nginx/shop-20261129.log"}},
		{"nginx/access.log*", []string{"nginx/access.log"}},
		{"apache*/*error.log", []string{"apache-2.4/error.log", "apache2/error.log", "apache2/other.error.log"}},
		{"sites/*/logs/access.log", []string{"sites/a/logs/access.log"}},
		{"[ns]*/[a-e]*.log", []string{"nginx/access-2.log", "nginx/access.log", "nginx/error.log"}},
		{`nginx/\error.log`, []string{"nginx/error.log"}},
		{"nginx/none.log", []string{"nginx/none.log"}},
		{"nginx/none*.log", nil},
		{"none/*.log", nil},
	} {
		t.Run(c.pattern, func(t *testing.T) {
			t.Parallel()
			got, _ := Config{}.expand(root + "/" + c.pattern)
			for i, path := range got {
				got[i] = strings.TrimPrefix(path, root+"/")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("expand (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLogsAppear: a new file and a new folder that a pattern matches, each read once, before and after a restart.
func TestLogsAppear(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	pattern := filepath.Join(root, "apache*", "sites-?", "*error.log")
	r := start(t, journal.Start{}, pattern)
	r.untilLines(0)
	folder := filepath.Join(root, "apache2", "sites-1")
	ok(t, os.MkdirAll(folder, 0o700))
	appendTo(t, filepath.Join(folder, "error.log"), stamped(0, "one"))
	r.untilLines(1)
	appendTo(t, filepath.Join(folder, "shop.error.log"), stamped(1, "two"))
	r.untilLines(2)
	other := filepath.Join(root, "apache2", "sites-2")
	ok(t, os.MkdirAll(other, 0o700))
	appendTo(t, filepath.Join(other, "error.log"), stamped(2, "three"))
	r.untilLines(3)
	r.stop()
	r.want("one", "two", "three")
	r.wantGaps()

	for i, path := range []string{"sites-1/error.log", "sites-1/shop.error.log", "sites-2/error.log", "sites-2/new.error.log"} {
		appendTo(t, filepath.Join(root, "apache2", path), stamped(3+i, path))
	}
	again := start(t, journal.Start{Resume: parsed(t, r.position)}, pattern)
	again.untilLines(4)
	again.want("sites-1/error.log", "sites-1/shop.error.log", "sites-2/error.log", "sites-2/new.error.log")
	again.wantGaps()
}

func TestFolders(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, folder := range []string{"a/logs/1", "a/logs/2", "b/logs", "c"} {
		ok(t, os.MkdirAll(filepath.Join(root, folder), 0o700))
	}
	got := folders([]string{root + "/*/logs/*/access.log", root + "/c/access.log"})
	for i, folder := range got {
		got[i] = strings.TrimPrefix(folder, root)
	}
	if diff := cmp.Diff([]string{"/a/logs/1", "/a/logs/2", "/a/logs", "/b/logs", "/a", "/b", "/c", "", "/c"}, got); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
}

// hand is a follower whose steps a test takes by hand.
func hand(t *testing.T, from journal.Start, cfg Config) (*follower, *reader) {
	t.Helper()
	r := &reader{t: t}
	cfg.Location = time.UTC
	f := newFollower(cfg, from, func(b journal.Batch) error {
		for _, e := range b.Entries {
			r.lines = append(r.lines, string(e.Message))
		}
		r.gaps = append(r.gaps, b.Gaps...)
		r.position, r.trouble = b.Position, b.Trouble
		return nil
	})
	t.Cleanup(f.close)
	ok(t, f.begin())
	ok(t, f.drain(t.Context()))
	return f, r
}

// scanned looks around at once, and again after the rotated files are due to be closed.
func scanned(t *testing.T, f *follower) {
	t.Helper()
	for _, later := range []time.Duration{0, 0, 2 * grace, 2 * grace} {
		f.scan(time.Now().Add(later))
		ok(t, f.drain(t.Context()))
	}
}

// TestRotationsOfMatches: a rotated file that the pattern matches as well is not read again: not beside its log, not while the log
// is missing, not after it was closed, not after a restart.
func TestRotationsOfMatches(t *testing.T) {
	t.Parallel()
	for _, rotated := range []string{"b.log.1", "b.log-20261130", "b-20261130.log", "b-2026-11-30.log", "b.1.log", "a.log", "z.log"} {
		for _, missing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, missing=%v", rotated, missing), func(t *testing.T) {
				t.Parallel()
				folder := t.TempDir()
				log, pattern := filepath.Join(folder, "b.log"), filepath.Join(folder, "*.log*")
				appendTo(t, log, stamped(0, "one"))
				f, r := hand(t, journal.Start{}, Config{Paths: []string{pattern}})
				appendTo(t, log, stamped(1, "two"))
				ok(t, os.Rename(log, filepath.Join(folder, rotated)))
				if missing {
					scanned(t, f)
				}
				appendTo(t, log, stamped(2, "three"))
				scanned(t, f)
				r.want("one", "two", "three")
				r.wantGaps()

				appendTo(t, log, stamped(3, "four"))
				_, again := hand(t, journal.Start{Resume: parsed(t, r.position)}, Config{Paths: []string{pattern}})
				again.want("four")
				again.wantGaps()
			})
		}
	}
}

// TestRotationWhileDown: what was rotated with the extension at the end is read on where it was left.
func TestRotationWhileDown(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	log := filepath.Join(folder, "access.log")
	appendTo(t, log, stamped(0, "one"))
	_, r := hand(t, journal.Start{}, Config{Paths: []string{log}})
	appendTo(t, log, stamped(1, "two"))
	ok(t, os.Rename(log, filepath.Join(folder, "access-20261130.log")))
	appendTo(t, log, stamped(2, "three"))
	_, again := hand(t, journal.Start{Resume: parsed(t, r.position)}, Config{Paths: []string{log}})
	again.want("two", "three")
	again.wantGaps()
}

// TestTooManyLogs: those that changed last are read, and that there are others is said once, until it is no longer so.
func TestTooManyLogs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	name := func(n int) string { return filepath.Join(folder, fmt.Sprintf("n%03d.log", n)) }
	for n := range maxLogs + 2 {
		appendTo(t, name(n), stamped(n, fmt.Sprint(n)))
		ok(t, os.Chtimes(name(n), time.Time{}, epoch.Add(time.Duration(n)*time.Second)))
	}
	for n := range maxLogs { // rotations take no log's place
		for i := range 2 {
			rotated := fmt.Sprintf("%s.%d", name(n), i+1)
			appendTo(t, rotated, stamped(-1, "old"))
			ok(t, os.Chtimes(rotated, time.Time{}, epoch.Add(-time.Hour)))
		}
	}
	f, r := hand(t, journal.Start{Since: epoch}, Config{Paths: []string{filepath.Join(folder, "*.log")}})
	scanned(t, f)
	if len(r.lines) != maxLogs || slices.Contains(r.lines, "0") || slices.Contains(r.lines, "1") {
		t.Errorf("read %d lines, %v, want those of all but the two logs that changed first", len(r.lines), r.lines)
	}
	r.wantGaps(journal.GapUnreadable)
	if r.trouble == nil || !strings.Contains(r.trouble.Error(), fmt.Sprint(maxLogs)) {
		t.Errorf("trouble %v, want the limit", r.trouble)
	}
	appendTo(t, name(0), stamped(maxLogs, "later"))
	scanned(t, f)
	if len(r.lines) != maxLogs {
		t.Errorf("read %d lines after a log that is not read has changed, want %d", len(r.lines), maxLogs)
	}
	ok(t, os.Remove(name(100)))
	ok(t, os.Remove(name(101)))
	scanned(t, f)
	if want := maxLogs + 3; len(r.lines) != want || r.trouble != nil {
		t.Errorf("read %d lines, trouble %v, want %d and none", len(r.lines), r.trouble, want)
	}
	r.wantGaps(journal.GapUnreadable)
}

// TestMatchesVanish: what was renamed to a name that no pattern matches is read on, and closed in the end; of what could not be read
// nothing remains.
func TestMatchesVanish(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	log, broken := filepath.Join(folder, "a.log"), filepath.Join(folder, "b.log")
	appendTo(t, log, stamped(0, "one"))
	ok(t, os.Mkdir(broken, 0o700))
	f, r := hand(t, journal.Start{}, Config{Paths: []string{filepath.Join(folder, "*.log")}})
	r.wantGaps(journal.GapUnreadable)
	if r.trouble == nil {
		t.Error("no trouble with a folder that has the name of a log")
	}
	ok(t, os.Remove(broken))
	ok(t, os.Rename(log, filepath.Join(folder, "a.old")))
	appendTo(t, filepath.Join(folder, "a.old"), stamped(1, "two"))
	f.scan(time.Now())
	ok(t, f.drain(t.Context()))
	r.want("one", "two")
	if r.trouble != nil {
		t.Errorf("trouble %v, want none", r.trouble)
	}
	scanned(t, f)
	if len(f.files) != 0 {
		t.Errorf("%d files open, want none", len(f.files))
	}
}

// TestOpen: what only somebody else may open is listed, opened and followed through a rotation by way of them.
func TestOpen(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "apache2")
	ok(t, os.Mkdir(folder, 0o700))
	log := filepath.Join(folder, "error.log")
	appendTo(t, log, stamped(0, "one"))
	var opened []string
	cfg := Config{Paths: []string{filepath.Join(folder, "*error.log")}, Open: func(name string) (*os.File, error) {
		opened = append(opened, strings.TrimPrefix(name, folder))
		return os.Open(name)
	}}
	f, r := hand(t, journal.Start{}, cfg)
	ok(t, os.Rename(log, log+".1"))
	appendTo(t, log, stamped(1, "two"))
	scanned(t, f)
	r.want("one", "two")
	for _, name := range []string{"", "/error.log", "/error.log.1"} {
		if !slices.Contains(opened, name) {
			t.Errorf("Open got %q, want %q as well", opened, name)
		}
	}

	other := filepath.Join(t.TempDir(), "other.log")
	appendTo(t, other, stamped(2, "three"))
	denied := true
	cfg.Paths = append(cfg.Paths, other)
	cfg.Open = func(name string) (*os.File, error) {
		if denied && name == folder {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
		return os.Open(name)
	}
	f, r = hand(t, journal.Start{Since: epoch.Add(time.Second)}, cfg)
	scanned(t, f)
	r.want("three")
	r.wantGaps(journal.GapUnreadable)
	if !errors.Is(r.trouble, fs.ErrPermission) || !strings.Contains(r.trouble.Error(), "exile.yaml(5)") {
		t.Errorf("trouble %v, want that the folder may not be listed, and where to read on", r.trouble)
	}
	denied = false
	scanned(t, f)
	r.want("three", "two")
	if r.trouble != nil {
		t.Errorf("trouble %v, want none", r.trouble)
	}
}
