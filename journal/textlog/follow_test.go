package textlog

import (
	"context"
	"errors"
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
	undated  int
	trouble  error // of the last batch
	position journal.Position
	each     []journal.Position
}

func start(t *testing.T, from journal.Start, paths ...string) *reader {
	t.Helper()
	return startWith(t, from, Config{Paths: paths})
}

// startWith is start with the times in UTC.
func startWith(t *testing.T, from journal.Start, cfg Config) *reader {
	t.Helper()
	cfg.Location = time.UTC
	source, err := New(cfg)
	ok(t, err)
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
		r.undated += b.Undated
		r.trouble = b.Trouble
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
			Position: b.Position, Time: epoch, PID: 7, Identifier: "sshd", Transport: "text", Log: log, Message: []byte("one"),
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

// TestNeeded: of each set one log should be there, whatever there is of others.
func TestNeeded(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	web, mail := filepath.Join(root, "web*.log"), filepath.Join(root, "mail.log")
	other := filepath.Join(root, "other.log")
	appendTo(t, filepath.Join(root, "web1.log"), stamped(0, "one"))
	r := startWith(t, journal.Start{}, Config{Paths: []string{web, mail, other}, Needed: [][]string{{other, web}, {mail}}})
	r.untilLines(1)
	if r.trouble == nil || !strings.Contains(r.trouble.Error(), "no text log at "+mail) || strings.Contains(r.trouble.Error(), web) {
		t.Errorf("trouble %v, want only %s", r.trouble, mail)
	}
	appendTo(t, mail, stamped(1, "two"))
	r.untilLines(2)
	if r.trouble != nil {
		t.Errorf("all are there: %v", r.trouble)
	}
	ok(t, os.Rename(filepath.Join(root, "web1.log"), filepath.Join(root, "web1.log.1")))
	appendTo(t, mail, stamped(2, "three"))
	r.untilLines(3)
	if r.trouble != nil {
		t.Errorf("one was rotated a moment ago: %v", r.trouble)
	}
	ok(t, os.Remove(mail))
	r.until(func() bool { return r.trouble != nil })
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
	if _, err := New(Config{Paths: []string{"/var/log/auth.log"}, Form: "json"}); err == nil {
		t.Error("New gave no error for an unknown form")
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
