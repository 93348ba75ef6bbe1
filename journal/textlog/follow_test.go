package textlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"exile/journal"
)

// reader runs a source and keeps what it says. Its fields are read after a call of until or stop only.
type reader struct {
	t        *testing.T
	batches  chan journal.Batch
	cancel   context.CancelFunc
	done     chan error
	lines    []string // the messages; "!" before those replayed
	times    []time.Time
	gaps     []journal.Gap
	position journal.Position
	each     []journal.Position
}

func start(t *testing.T, from journal.Start, paths ...string) *reader {
	t.Helper()
	source, err := New(Config{Paths: paths, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{t: t, batches: make(chan journal.Batch), cancel: cancel, done: make(chan error, 1)}
	go func() {
		r.done <- source.Follow(ctx, from, func(b journal.Batch) error {
			select {
			case r.batches <- clone(b):
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(r.stop)
	return r
}

// clone keeps what is valid only until emit returns.
func clone(b journal.Batch) journal.Batch {
	entries := make([]journal.Entry, len(b.Entries))
	for i, e := range b.Entries {
		e.Message = []byte(string(e.Message))
		entries[i] = e
	}
	b.Entries = entries
	return b
}

// until takes batches until one has caught up and done says that it was enough.
func (r *reader) until(done func() bool) {
	r.t.Helper()
	for b := range r.batches {
		for _, e := range b.Entries {
			message := string(e.Message)
			if e.Replayed {
				message = "!" + message
			}
			r.lines = append(r.lines, message)
			r.times = append(r.times, e.Time)
			r.each = append(r.each, e.Position)
		}
		r.gaps = append(r.gaps, b.Gaps...)
		r.position = b.Position
		if b.CaughtUp && done() {
			return
		}
	}
}

func (r *reader) untilLines(n int) {
	r.t.Helper()
	r.until(func() bool { return len(r.lines) >= n })
}

func (r *reader) stop() {
	r.cancel()
	if r.done == nil {
		return
	}
	if err := <-r.done; err != nil {
		r.t.Errorf("Follow: %v", err)
	}
	r.done = nil
}

func (r *reader) want(lines ...string) {
	r.t.Helper()
	if diff := cmp.Diff(lines, r.lines); diff != "" {
		r.t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func (r *reader) wantGaps(kinds ...journal.GapKind) {
	r.t.Helper()
	var got []journal.GapKind
	for _, gap := range r.gaps {
		got = append(got, gap.Kind)
	}
	if diff := cmp.Diff(kinds, got); diff != "" {
		r.t.Errorf("gaps %v (-want +got):\n%s", r.gaps, diff)
	}
}

// epoch lies in the past of every host, so that no stamp is one of the future.
var epoch = time.Date(2024, 11, 22, 12, 0, 0, 0, time.UTC)

// stamped is a line as rsyslog writes it, n seconds after the test's beginning of time.
func stamped(n int, message string) string {
	at := epoch.Add(time.Duration(n) * time.Second)
	return at.Format(time.RFC3339) + " host sshd[7]: " + message + "\n"
}

func appendTo(t *testing.T, path string, text ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Join(text, "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	r := start(t, journal.Start{}, log) // the file is not there yet
	r.untilLines(0)
	appendTo(t, log, stamped(0, "one"), "\xff\xfe no stamp\r\n\n", stamped(1, "half")[:30])
	r.untilLines(2)
	appendTo(t, log, stamped(1, "half")[30:])
	r.untilLines(3)
	r.want("one", "\xff\xfe no stamp", "half")
	r.wantGaps()
	if diff := cmp.Diff([]time.Time{epoch, epoch, epoch.Add(time.Second)}, r.times); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}

func TestEntry(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	appendTo(t, log, stamped(0, "one"))
	source, err := New(Config{Paths: []string{log}})
	ok(t, err)
	enough := errors.New("enough")
	err = source.Follow(t.Context(), journal.Start{}, func(b journal.Batch) error {
		want := []journal.Entry{{
			Position: b.Position, Time: epoch, PID: 7, Identifier: "sshd", Transport: "text", Message: []byte("one"),
		}}
		if diff := cmp.Diff(want, b.Entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("Follow = %v, want the error of emit", err)
	}
}

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

func TestLongLine(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	long := strings.Repeat("x", maxLine)
	// The rest of a long line looks like a line: it must not become one, here or after a restart in its middle.
	forged := strings.TrimSuffix(stamped(1, "forged"), "\n")
	whole := stamped(0, "at most")
	appendTo(t, log, whole, long+forged+"\n", stamped(2, "next"), long+long+long+forged+"\n", stamped(3, "end"), long+long)
	r := start(t, journal.Start{}, log)
	r.untilLines(6)
	r.stop()
	r.want("at most", long, "next", long, "end", long)
	var cut uint64
	for _, gap := range r.gaps {
		cut += gap.Entries
	}
	if cut != 3 {
		t.Errorf("%d lines reported cut in %v, want 3", cut, r.gaps)
	}
	appendTo(t, log, forged+"\n", stamped(4, "after"))
	for i, want := range [][]string{{long, "next", long, "end", long, "after"}, {"next", long, "end", long, "after"}} {
		again := start(t, journal.Start{Resume: r.each[i]}, log)
		again.untilLines(len(want))
		again.want(want...)
	}
	middle := start(t, journal.Start{Resume: r.each[5]}, log)
	middle.untilLines(1)
	middle.want("after")
}

func TestResume(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(t *testing.T, log string) // between the two runs
		since  time.Time
		resume bool // behind "two"
		want   []string
		gaps   []journal.GapKind
	}{
		{name: "unchanged", resume: true, want: []string{"three"}},
		{
			name: "replay", resume: true, since: epoch.Add(5 * time.Second),
			want: []string{"!two", "three"},
		},
		{
			name: "old but new to us", resume: true, since: epoch.Add(time.Hour),
			want: []string{"three"},
		},
		{name: "no position", since: epoch.Add(5 * time.Second), want: []string{"two", "three"}},
		{
			name: "rotated", resume: true, since: epoch.Add(5 * time.Second),
			change: func(t *testing.T, log string) {
				ok(t, os.Rename(log, log+".1"))
				appendTo(t, log, stamped(30, "four"))
			},
			want: []string{"!two", "three", "four"},
		},
		{
			name: "rotated twice, with a date", resume: true,
			change: func(t *testing.T, log string) {
				ok(t, os.Rename(log, log+"-20260102"))
				ok(t, os.Chtimes(log+"-20260102", time.Time{}, epoch))
				appendTo(t, log+"-20260103", stamped(30, "four"))
				appendTo(t, log, stamped(40, "five"))
			},
			want: []string{"three", "four", "five"},
		},
		{
			name: "an older rotation was read before", resume: true, since: epoch.Add(-5 * time.Second),
			change: func(t *testing.T, log string) {
				appendTo(t, log+".1", stamped(-20, "older"), stamped(-3, "old"))
				ok(t, os.Chtimes(log+".1", time.Time{}, epoch.Add(-time.Second)))
			},
			want: []string{"!old", "!one", "!two", "three"},
		},
		{
			name: "copied and truncated", resume: true,
			change: func(t *testing.T, log string) {
				copyTo(t, log, log+".1")
				ok(t, os.WriteFile(log, []byte(stamped(30, "four")), 0o600))
			},
			want: []string{"three", "four"},
		},
		{
			name: "rotated and not back yet", resume: true,
			change: func(t *testing.T, log string) { ok(t, os.Rename(log, log+".1")) },
			want:   []string{"three"},
		},
		{
			name: "gone, and the inode used again", resume: true,
			change: func(t *testing.T, log string) {
				ok(t, os.WriteFile(log, []byte(strings.Repeat(stamped(30, "four"), 3)), 0o600))
			},
			want: []string{"four", "four", "four"},
			gaps: []journal.GapKind{journal.GapVacuumed},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "auth.log")
			appendTo(t, log, stamped(0, "one"), stamped(10, "two"), stamped(20, "three"))
			r := start(t, journal.Start{}, log)
			r.untilLines(3)
			r.stop()
			if c.change != nil {
				c.change(t, log)
			}
			from := journal.Start{Since: c.since}
			if c.resume {
				from.Resume = parsed(t, r.each[1])
			}
			again := start(t, from, log)
			again.untilLines(len(c.want))
			again.stop()
			again.want(c.want...)
			again.wantGaps(c.gaps...)
		})
	}
}

// parsed is a position that was stored and read back.
func parsed(t testing.TB, p journal.Position) journal.Position {
	t.Helper()
	p, err := journal.ParsePosition(p.String())
	ok(t, err)
	return p
}

func TestSeveralLogs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	a, b, c := filepath.Join(folder, "a.log"), filepath.Join(folder, "b.log"), filepath.Join(folder, "c.log")
	appendTo(t, a, stamped(0, "a0"), stamped(2, "a2"))
	appendTo(t, b, stamped(1, "b1"), stamped(3, "b3"))
	ok(t, os.WriteFile(a+".gz", []byte("not read\n"), 0o600))
	r := start(t, journal.Start{}, filepath.Join(folder, "*.log*"))
	r.untilLines(4)
	r.stop()
	r.want("a0", "b1", "a2", "b3")

	appendTo(t, a, stamped(4, "a4"))
	appendTo(t, b, stamped(5, "b5"))
	appendTo(t, c, stamped(6, "c6"))
	again := start(t, journal.Start{Resume: parsed(t, r.position), Since: epoch.Add(2 * time.Second)},
		filepath.Join(folder, "*.log*"))
	again.untilLines(5)
	again.want("!a2", "!b3", "a4", "b5", "c6")
	again.wantGaps()
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

func TestUnreadable(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	ok(t, os.Mkdir(log, 0o700))
	r := start(t, journal.Start{}, log)
	r.until(func() bool { return len(r.gaps) > 0 })
	r.wantGaps(journal.GapUnreadable)
	ok(t, os.Remove(log))
	appendTo(t, log, stamped(0, "one"))
	r.untilLines(1)
	r.want("one")
}

func TestFIFODoesNotBlock(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	ok(t, unix.Mkfifo(log, 0o600))
	r := start(t, journal.Start{}, log)
	r.until(func() bool { return len(r.gaps) > 0 })
	r.wantGaps(journal.GapUnreadable)
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for _, paths := range [][]string{nil, {"auth.log"}, {"/var/log/[a"}, {"/a\x00b"}} {
		if _, err := New(Config{Paths: paths}); err == nil {
			t.Errorf("New(%q) gave no error", paths)
		}
	}
}

func TestBadPosition(t *testing.T) {
	t.Parallel()
	source, err := New(Config{Paths: []string{filepath.Join(t.TempDir(), "auth.log")}})
	ok(t, err)
	for _, p := range []journal.Position{{Inode: 1, Offset: -1}, {Inode: 1, Others: "x"}, {Inode: 1, Others: "1.2.-3.4"}} {
		if err := source.Follow(t.Context(), journal.Start{Resume: p}, nil); err == nil {
			t.Errorf("Follow(%v) gave no error", p)
		}
	}
}

// readAll reads a file that does not grow, and says what was in it and where each line ended.
func readAll(t testing.TB, log string, from journal.Start) (lines []string, positions []journal.Position) {
	t.Helper()
	f := newFollower(Config{Paths: []string{log}, Location: time.UTC}, from, func(b journal.Batch) error {
		for _, e := range b.Entries {
			lines = append(lines, string(e.Message))
			positions = append(positions, e.Position)
		}
		return nil
	})
	defer f.close()
	ok(t, f.begin())
	ok(t, f.drain(t.Context()))
	return lines, positions
}

// FuzzFile: whatever a file holds, its lines come as a plain split would have them, and reading can go on behind each.
func FuzzFile(f *testing.F) {
	f.Add([]byte(stamped(0, "one")+"two\n\nhalf"), uint32(20))
	f.Add([]byte("\x00\x00\x00one\n\x00two\r\n"), uint32(0))
	f.Add([]byte("x\n"), uint32(3*maxLine))
	f.Add([]byte("\n"), uint32(maxLine))
	f.Fuzz(func(t *testing.T, data []byte, pad uint32) {
		data = append(bytes.Repeat([]byte("x"), int(pad%(4*maxLine))), data...)
		log := filepath.Join(t.TempDir(), "log")
		ok(t, os.WriteFile(log, data, 0o600))
		var want []string
		whole := data[:bytes.LastIndexByte(data, '\n')+1]
		for line := range bytes.Lines(whole) {
			line = bytes.TrimLeft(line[:len(line)-1], "\x00")
			if line = bytes.TrimSuffix(line[:min(len(line), maxLine)], []byte("\r")); len(line) > 0 {
				want = append(want, string(ParseLine(line, Reference{Location: time.UTC, Now: time.Now()}).Message))
			}
		}
		got, positions := readAll(t, log, journal.Start{})
		if rest := data[len(whole):]; len(bytes.TrimLeft(rest, "\x00")) > maxLine { // a line that is cut need not end
			want = append(want, string(bytes.TrimLeft(rest, "\x00")[:maxLine]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("lines (-want +got):\n%s", diff)
		}
		for i := range min(len(positions), 4) {
			rest, _ := readAll(t, log, journal.Start{Resume: parsed(t, positions[i])})
			if diff := cmp.Diff(append([]string{}, want[i+1:]...), append([]string{}, rest...)); diff != "" {
				t.Fatalf("resumed behind line %d (-want +got):\n%s", i, diff)
			}
		}
	})
}

// TestAllocations: reading allocates by the file and by the batch, not by the line.
func TestAllocations(t *testing.T) {
	log := filepath.Join(t.TempDir(), "auth.log")
	const lines = 20_000
	var text strings.Builder
	for i := range lines {
		text.WriteString(stamped(i, "Failed password for root from 192.0.2.1 port 22 ssh2"))
	}
	appendTo(t, log, text.String())
	source, err := New(Config{Paths: []string{log}})
	ok(t, err)
	enough := errors.New("enough")
	allocs := testing.AllocsPerRun(3, func() {
		read := 0
		err := source.Follow(t.Context(), journal.Start{}, func(b journal.Batch) error {
			if read += len(b.Entries); b.CaughtUp {
				return enough
			}
			return nil
		})
		if read != lines || !errors.Is(err, enough) {
			t.Fatalf("%d lines, %v", read, err)
		}
	})
	if perLine := allocs / lines; perLine > 0.05 {
		t.Errorf("%v allocations for %d lines", allocs, lines)
	}
	t.Logf("%v allocations for %d lines", allocs, lines)
}

func BenchmarkFollow(b *testing.B) {
	log := filepath.Join(b.TempDir(), "auth.log")
	const lines = 100_000
	text := strings.Repeat("Nov 22 12:00:00 host sshd[7]: Failed password for root from 192.0.2.1 port 22 ssh2\n", lines)
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		f := newFollower(Config{Paths: []string{log}, Location: time.UTC}, journal.Start{}, func(journal.Batch) error { return nil })
		if err := errors.Join(f.begin(), f.drain(b.Context())); err != nil {
			b.Fatal(err)
		}
		f.close()
	}
	b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "lines/s")
}
