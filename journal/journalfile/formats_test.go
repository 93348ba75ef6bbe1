package journalfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
	"exile/journal/internal/makejournal"
)

// line is what is compared with journalctl here: the position, and what journal.Entry has.
type line struct{ Cursor, Unit, PID, Message string }

// TestFormats reads files of every format with journalctl and with a cursor: they must say the same. A file that journalctl
// reads is also what shows that the writer of these tests writes the format.
func TestFormats(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("journalctl"); err != nil {
		t.Skip("SKIPPED: journalctl is not installed: nothing is compared with it")
	}
	formats(100, func(name string, file []byte) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "system.journal")
			writeFile(t, path, file)
			want := journalctlLines(t, path)
			if len(want) != 100 {
				t.Fatalf("journalctl shows %d entries", len(want))
			}
			if diff := cmp.Diff(want, cursorLines(t, path)); diff != "" {
				t.Errorf("(-journalctl +cursor):\n%.2000s", diff)
			}
			exercise(t, path, len(file))
		})
	})
}

func journalctlLines(t *testing.T, path string) (all []line) {
	t.Helper()
	out, err := exec.Command("journalctl", "--file", path, "-o", "json", "--all", "--no-pager", "-q").Output()
	if err != nil {
		t.Fatal(err)
	}
	for text := range bytes.Lines(out) {
		var f struct {
			Cursor  string          `json:"__CURSOR"`
			Unit    string          `json:"_SYSTEMD_UNIT"`
			PID     string          `json:"_PID"`
			Message json.RawMessage `json:"MESSAGE"`
		}
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, line{f.Cursor, f.Unit, f.PID, messageOf(t, f.Message)})
	}
	return all
}

// messageOf reads a string, or what is not text as an array of numbers.
func messageOf(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var numbers []int
	if err := json.Unmarshal(raw, &numbers); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		b[i] = byte(n)
	}
	return string(b)
}

func cursorLines(t *testing.T, path string) (all []line) {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	h, err := f.Header()
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cursor(nil)
	for {
		ok, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		var e journal.Entry
		if _, whole, err := c.Read(&e, nil, 1<<20); err != nil || !whole {
			t.Fatal(whole, err)
		}
		if e.UID != 0 || e.Transport != "syslog" || e.Identifier != "sshd" {
			t.Fatalf("entry %+v", e)
		}
		at := c.Entry()
		all = append(all, line{at.Position(h.SeqnumID).String(), e.Unit, strconv.Itoa(int(e.PID)), string(e.Message)})
	}
}

// TestSeek compares every seek with a search over all entries.
func TestSeek(t *testing.T) {
	t.Parallel()
	const n = 300
	path := filepath.Join(t.TempDir(), "system.journal")
	writeFile(t, path, small(n, true, true, 0))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := f.Cursor(nil)
	next := func() (seqnum uint64) { return seqnumAfter(t, c, c.Next) }
	for i := uint64(0); i <= n+1; i++ {
		want := i
		if i == 0 {
			want = 1
		}
		if i > n {
			want = 0
		}
		check := func(what string, err error) {
			t.Helper()
			if got := next(); got != want || err != nil {
				t.Fatalf("%s %d: entry %d, want %d: %v", what, i, got, want, err)
			}
		}
		check("seqnum", c.SeekSeqnum(i))
		check("realtime", c.SeekRealtime(1700000000000000+i*1000-1000))
		check("before it", c.SeekRealtime(1700000000000000+i*1000-1999))
		boot, usec := journal.ID{1}, i*1000
		if i > n/2 {
			boot, usec = journal.ID{2}, (i-n/2)*1000
		}
		found, err := c.SeekMonotonic(boot, usec)
		if !found {
			t.Fatalf("boot %v not found", boot)
		}
		check("monotonic", err)
		if err := c.SeekSeqnum(i); err != nil {
			t.Fatal(err)
		}
		if got, want := seqnumAfter(t, c, c.Previous), min(max(i, 1)-1, n); got != want {
			t.Fatalf("before seqnum %d: entry %d, want %d", i, got, want)
		}
	}
	if found, err := c.SeekMonotonic(journal.ID{3}, 0); found || err != nil {
		t.Errorf("boot that is not there: %v, %v", found, err)
	}
	if got, err := f.CountSeqnums(10, 19); got != 10 || err != nil {
		t.Errorf("entries 10 to 19: %d, %v", got, err)
	}
}

// seqnumAfter steps and returns the number of the entry there; 0: there is none.
func seqnumAfter(t *testing.T, c *Cursor, step func() (bool, error)) uint64 {
	t.Helper()
	ok, err := step()
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return 0
	}
	return c.Entry().Seqnum
}

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sel  journal.Selector
		want func(i int) bool // of entry i, from 0: see small
	}{
		"unit":         {journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}}}, func(i int) bool { return i%4 != 3 }},
		"glob":         {journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh@*.service"}}}}, func(i int) bool { return i%4 == 3 }},
		"two values":   {journal.Selector{{{Field: "_PID", Values: []string{"1", "3", "none"}}}}, func(i int) bool { return i%9 == 0 || i%9 == 2 }},
		"conjunction":  {journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}, {Field: "_PID", Values: []string{"2"}}}}, func(i int) bool { return i%4 != 3 && i%9 == 1 }},
		"disjunction":  {journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh@*"}}}, {{Field: "_PID", Values: []string{"2"}}}}, func(i int) bool { return i%4 == 3 || i%9 == 1 }},
		"nothing":      {journal.Selector{{{Field: "_UID", Values: []string{"1000"}}}}, func(int) bool { return false }},
		"empty group":  {journal.Selector{{{Field: "_UID", Values: []string{"1000"}}}, {}}, func(int) bool { return true }},
		"no values":    {journal.Selector{{{Field: "_UID"}}}, func(int) bool { return false }},
		"unknown name": {journal.Selector{{{Field: "NONE", Values: []string{"*"}}}}, func(int) bool { return false }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 400
			path := filepath.Join(t.TempDir(), "system.journal")
			writeFile(t, path, small(n, true, true, 0))
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			m, err := f.Match(test.sel)
			if err != nil {
				t.Fatal(err)
			}
			var want, forward, backward []uint64
			for i := range n {
				if test.want(i) {
					want = append(want, uint64(i+1))
				}
			}
			c := f.Cursor(m)
			for s := seqnumAfter(t, c, c.Next); s != 0; s = seqnumAfter(t, c, c.Next) {
				forward = append(forward, s)
			}
			if err := c.SeekTail(); err != nil {
				t.Fatal(err)
			}
			for s := seqnumAfter(t, c, c.Previous); s != 0; s = seqnumAfter(t, c, c.Previous) {
				backward = append([]uint64{s}, backward...)
			}
			if diff := cmp.Diff(want, forward); diff != "" {
				t.Errorf("forward: %s", diff)
			}
			if diff := cmp.Diff(want, backward); diff != "" {
				t.Errorf("backward: %s", diff)
			}
		})
	}
}

func TestBadPattern(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "system.journal")
	writeFile(t, path, small(1, true, true, 0))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Match(journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh["}}}}); err == nil {
		t.Error("malformed pattern: no error")
	}
}

// TestGrow writes entries to a file that is open, as journald does: in place, and beyond what is mapped.
func TestGrow(t *testing.T) {
	t.Parallel()
	w := makejournal.NewWriter(true, true, 0)
	path := filepath.Join(t.TempDir(), "system.journal")
	young := w.Bytes()[:272]
	clear(young[104:136]) // journald has just made the header: there are no tables yet
	writeFile(t, path, young)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	m, err := f.Match(journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service", "ssh@*.service"}}}})
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cursor(m)
	if got := seqnumAfter(t, c, c.Next); got != 0 {
		t.Fatalf("no entries: entry %d", got)
	}
	for i := uint64(1); i < 300; i++ {
		unit := []string{"cron.service", "ssh.service", "ssh@1.service", "ssh@2.service"}[i%4]
		w.Add(journal.ID{1}, i, i, "_SYSTEMD_UNIT="+unit)
		writeFile(t, path, w.Bytes())
		if grown, err := f.Refresh(); !grown || err != nil {
			t.Fatalf("refresh %d: %v, %v", i, grown, err)
		}
		want := i
		if i%4 == 0 {
			want = 0
		}
		if got := seqnumAfter(t, c, c.Next); got != want {
			t.Fatalf("after %d: entry %d, want %d", i, got, want)
		}
		if got := seqnumAfter(t, c, c.Next); got != 0 {
			t.Fatalf("after %d: entry %d twice", i, got)
		}
	}
}

func TestNotOurs(t *testing.T) {
	t.Parallel()
	file := small(1, true, true, 0)
	newer := bytes.Clone(file)
	newer[12] |= 1 << 6
	tests := map[string]struct {
		file []byte
		want error
	}{
		"newer": {newer, ErrUnsupported}, "empty": {nil, ErrNotJournal}, "text": {bytes.Repeat([]byte("text "), 100), ErrNotJournal},
		"zeros": {make([]byte, 8192), ErrNotJournal},
	}
	for name, test := range tests {
		path := filepath.Join(t.TempDir(), name)
		writeFile(t, path, test.file)
		f, err := Open(path)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err == nil {
			_ = f.Close()
		}
	}
}

// TestDamagedIndex: when the list of the entries that have a field is damaged, it is said once, and all are found.
func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	file := small(40, true, true, 0)
	path := filepath.Join(t.TempDir(), "system.journal")
	writeFile(t, path, file)
	sel := journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}, {Field: "_PID", Values: []string{"2"}}}}
	count := func() (n, failures int) {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		m, err := f.Match(sel)
		if err != nil {
			t.Fatal(err)
		}
		c := f.Cursor(m)
		for {
			ok, err := c.Next()
			switch {
			case err != nil && failures < 10:
				failures++
			case !ok:
				return n, failures
			default:
				n++
			}
		}
	}
	whole, failures := count()
	if whole == 0 || failures != 0 {
		t.Fatalf("%d entries, %d failures in a file that is whole", whole, failures)
	}
	at := bytes.Index(file, []byte("_PID=2"))
	binary.LittleEndian.PutUint64(file[at-72+dataArray:], 12345) // no object is there
	writeFile(t, path, file)
	if n, failures := count(); n != whole || failures == 0 {
		t.Errorf("%d entries of %d, %d failures", n, whole, failures)
	}
}
