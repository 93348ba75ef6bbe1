package journalfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"exile/journal"
)

var everything = journal.Selector{
	{{Field: "_UID", Values: []string{"0"}}, {Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service", "ssh@*.service"}}},
	{{Field: "MESSAGE", Values: []string{"Failed password for root"}}},
}

// exercise does all that can be done with a file and returns how many entries it saw. It fails the test when the number of
// steps is not bounded by the size of the file.
func exercise(tb testing.TB, path string, size int) (seen int) {
	tb.Helper()
	f, err := Open(path)
	if err != nil {
		mustKnow(tb, err)
		return 0
	}
	defer func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	}()
	for _, sel := range []journal.Selector{nil, everything} {
		m, err := f.Match(sel)
		if err != nil {
			tb.Fatal(err)
		}
		c := f.Cursor(m)
		seen += steps(tb, c, c.Next, size)
		mustKnow(tb, c.SeekTail())
		steps(tb, c, c.Previous, size)
		mustKnow(tb, c.SeekRealtime(1700000000005000))
		steps(tb, c, c.Next, size)
		_, err = c.SeekMonotonic(journal.ID{2}, 3000)
		mustKnow(tb, err)
		mustKnow(tb, c.SeekSeqnum(4))
		_, err = c.Previous()
		mustKnow(tb, err)
	}
	_, err = f.CountSeqnums(2, 1<<40)
	mustKnow(tb, err)
	_, err = f.Refresh()
	mustKnow(tb, err)
	return seen
}

func steps(tb testing.TB, c *Cursor, step func() (bool, error), size int) (seen int) {
	tb.Helper()
	for failures, n := 0, 0; ; n++ {
		if n > size {
			tb.Fatalf("%d steps in a file of %d bytes", n, size)
		}
		ok, err := step()
		if err != nil {
			mustKnow(tb, err)
			if failures++; failures > 100 {
				return seen
			}
			continue
		}
		if !ok {
			return seen
		}
		seen++
		var e journal.Entry
		if _, _, err := c.Read(&e, nil, 1000); err != nil {
			mustKnow(tb, err)
		}
		for i := range min(c.Fields(), 100) {
			if _, _, err := c.Data(i, 5000); err != nil {
				mustKnow(tb, err)
			}
		}
	}
}

// mustKnow fails the test for errors that are not among those that the package documents.
func mustKnow(tb testing.TB, err error) {
	tb.Helper()
	for _, target := range []error{nil, ErrCorrupt, ErrNotJournal, ErrUnsupported, ErrUnreadable} {
		if errors.Is(err, target) {
			return
		}
	}
	if _, ok := errors.AsType[*fs.PathError](err); !ok {
		tb.Fatalf("error of no known kind: %v", err)
	}
}

func FuzzFile(f *testing.F) {
	formats(9, func(_ string, file []byte) { f.Add(file) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			t.Skip("too large")
		}
		path := filepath.Join(t.TempDir(), "system.journal")
		writeFile(t, path, b)
		exercise(t, path, len(b))
	})
}

// TestDamage flips every word of the structures of small files to values that hurt: no panic, no endless loop, and the
// entries before the damage are still there.
func TestDamage(t *testing.T) {
	t.Parallel()
	file := small(4, true, true, 0)
	path := filepath.Join(t.TempDir(), "system.journal")
	for off := 0; off+8 <= len(file); off += 8 {
		for _, v := range []uint64{0, uint64(off), ^uint64(0)} {
			b := bytes.Clone(file)
			binary.LittleEndian.PutUint64(b[off:], v)
			writeFile(t, path, b)
			exercise(t, path, len(b))
		}
	}
}

// TestCut cuts a file at every length.
func TestCut(t *testing.T) {
	t.Parallel()
	file := small(5, false, true, 0)
	path := filepath.Join(t.TempDir(), "system.journal")
	for n := 0; n <= len(file); n += 8 {
		writeFile(t, path, file[:n])
		exercise(t, path, n)
	}
}

// TestTruncatedUnderUs is what journald 250 to 254 do to files that are mapped: no signal, an error.
func TestTruncatedUnderUs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "system.journal")
	writeFile(t, path, small(500, true, true, 0))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := f.Cursor(nil)
	if ok, err := c.Next(); !ok || err != nil {
		t.Fatalf("first entry: %v, %v", ok, err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(); !errors.Is(err, ErrUnreadable) {
		t.Errorf("next: %v, want %v", err, ErrUnreadable)
	}
	var e journal.Entry
	f.win.forget() // what was copied before would still be there
	c.take(binary.LittleEndian.AppendUint32(make([]byte, entryItems), 272+8*100), 0)
	if _, _, err := c.Read(&e, nil, 100); !errors.Is(err, ErrUnreadable) {
		t.Errorf("read: %v, want %v", err, ErrUnreadable)
	}
	if _, _, err := c.Data(0, 100); !errors.Is(err, ErrUnreadable) {
		t.Errorf("data: %v, want %v", err, ErrUnreadable)
	}
	if _, err := f.Refresh(); !errors.Is(err, ErrUnreadable) {
		t.Errorf("refresh: %v, want %v", err, ErrUnreadable)
	}
	if _, err := f.Header(); !errors.Is(err, ErrUnreadable) {
		t.Errorf("header: %v, want %v", err, ErrUnreadable)
	}
	if err := c.SeekRealtime(1); err == nil {
		t.Error("seek by time: no error")
	}
	if _, ok := f.Last(); ok {
		t.Error("last: an entry")
	}
}
