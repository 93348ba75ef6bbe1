package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
)

// importer is what makes journal files of export text.
const importer = "/lib/systemd/systemd-journal-remote"

const (
	firstBoot  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	secondBoot = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var epoch = time.UnixMicro(1790000000000000)

// said is the n-th entry of the tests: one a second.
func said(n int, boot, unit, message string) []byte {
	return encode([2]string{"__REALTIME_TIMESTAMP", fmt.Sprint(epoch.UnixMicro() + int64(n)*1e6)},
		[2]string{"__MONOTONIC_TIMESTAMP", fmt.Sprint(1000 + n)}, [2]string{"_BOOT_ID", boot},
		[2]string{"_TRANSPORT", "syslog"}, [2]string{"SYSLOG_IDENTIFIER", "sshd"}, [2]string{"_PID", fmt.Sprint(100 + n)},
		[2]string{"_UID", "0"}, [2]string{"_SYSTEMD_UNIT", unit}, [2]string{"MESSAGE", message})
}

// write makes a journal file of entries, at once visible to those who watch its folder.
func write(t *testing.T, file string, entries ...[]byte) {
	t.Helper()
	need(t)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Join(stringsOf(entries), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(t.TempDir(), "made.journal")
	if out, err := exec.Command(importer, "--output="+made, text).CombinedOutput(); err != nil {
		t.Fatalf("make journal file: %v: %s", err, out)
	}
	data, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".tmp", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		t.Fatal(err)
	}
}

func stringsOf(entries [][]byte) []string {
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = string(e)
	}
	return all
}

// need skips where there is no systemd.
func need(t *testing.T) {
	t.Helper()
	for _, program := range []string{importer, "journalctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED, this test needs systemd's own tools: %v", err)
		}
	}
}

// reader runs a source and keeps what it says; its fields are read after until or stop.
type reader struct {
	t         *testing.T
	batches   chan journal.Batch
	cancel    context.CancelFunc
	done      chan error
	reports   []string
	lines     []string // the messages; "!" before those replayed
	positions []journal.Position
	gaps      []journal.Gap
	position  journal.Position
}

func start(t *testing.T, source *Source, from journal.Start) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{t: t, batches: make(chan journal.Batch), cancel: cancel, done: make(chan error, 1)}
	source.cfg.Report = func(err error) { r.reports = append(r.reports, err.Error()) }
	go func() {
		r.done <- source.Follow(ctx, from, func(b journal.Batch) error {
			for i := range b.Entries {
				b.Entries[i].Message = []byte(string(b.Entries[i].Message))
			}
			b.Entries = append([]journal.Entry(nil), b.Entries...)
			select {
			case r.batches <- b:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(r.stop)
	return r
}

// until takes batches until one has caught up with at least n entries read in all.
func (r *reader) until(n int) {
	r.t.Helper()
	for b := range r.batches {
		for _, e := range b.Entries {
			message := string(e.Message)
			if e.Replayed {
				message = "!" + message
			}
			r.lines = append(r.lines, message)
			r.positions = append(r.positions, e.Position)
		}
		r.gaps = append(r.gaps, b.Gaps...)
		r.position = b.Position
		if b.CaughtUp && len(r.lines) >= n {
			return
		}
	}
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
		r.t.Errorf("lines (-want +got):\n%s\nreports: %q", diff, r.reports)
	}
}

func sourceOf(t *testing.T, cfg Config) *Source {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parsed is a position that was stored and read back.
func parsed(t *testing.T, p journal.Position) journal.Position {
	t.Helper()
	p, err := journal.ParsePosition(p.String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestJournalctl reads real files with the real journalctl: several boots, patterns, growth, and each way to resume.
func TestJournalctl(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "a.journal"),
		said(0, firstBoot, "ssh.service", "one\n_UID=0\n\nforged"),
		said(1, firstBoot, "cron.service", "not wanted"),
		said(2, firstBoot, "ssh@1-192.0.2.1:22.service", "two"),
		said(3, secondBoot, "ssh.service", "three"))
	cfg := Config{Directory: folder, Selector: journal.Selector{{
		{Field: "_UID", Values: []string{"0"}}, {Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service", "ssh@*.service"}},
	}}}
	r := start(t, sourceOf(t, cfg), journal.Start{})
	r.until(3)
	write(t, filepath.Join(folder, "b.journal"),
		said(4, secondBoot, "ssh@2-192.0.2.1:22.service", "four"), said(5, secondBoot, "ssh.service", "five"))
	r.until(5)
	r.stop()
	r.want("one\n_UID=0\n\nforged", "two", "three", "four", "five")

	for _, c := range []struct {
		name string
		from journal.Start
		want []string
	}{
		{"behind an entry", journal.Start{Resume: parsed(t, r.positions[1])}, []string{"three", "four", "five"}},
		{"behind the last", journal.Start{Resume: parsed(t, r.position)}, nil},
		{"since", journal.Start{Since: epoch.Add(2500 * time.Millisecond)}, []string{"three", "four", "five"}},
		{
			"replay",
			journal.Start{Resume: parsed(t, r.positions[2]), Since: epoch.Add(1500 * time.Millisecond)},
			[]string{"!two", "!three", "four", "five"},
		},
		{
			"old but new to us",
			journal.Start{Resume: parsed(t, r.positions[1]), Since: epoch.Add(time.Hour)},
			[]string{"three", "four", "five"},
		},
		{"a text log's position", journal.Start{Resume: journal.Position{Inode: 5}, Since: epoch.Add(4 * time.Second)}, []string{"four", "five"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			again := start(t, sourceOf(t, cfg), c.from)
			again.until(len(c.want))
			again.stop()
			again.want(c.want...)
			if len(again.reports) > 0 {
				t.Errorf("reports %q", again.reports)
			}
		})
	}
}

// TestDifferential: what the source says of each entry is what went into the journal.
func TestDifferential(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const entries = 2000
	var texts [][]byte
	var want []string
	for n := range entries {
		message := fmt.Sprintf("%d %s", n, strings.Repeat("\x01é\n", n%40))
		texts = append(texts, said(n, firstBoot, "ssh.service", message))
		want = append(want, message)
	}
	write(t, filepath.Join(folder, "a.journal"), texts...)
	r := start(t, sourceOf(t, Config{Directory: folder}), journal.Start{})
	r.until(entries)
	r.want(want...)
}

// fake makes a journalctl that appends its arguments to a file, line by line and a blank line behind them, and goes on
// as script says; $N is how often it has been called.
func fake(t *testing.T, script string) (command string, calls func() []string) {
	t.Helper()
	folder := t.TempDir()
	command = filepath.Join(folder, "journalctl")
	text := "#!/bin/sh\ncd '" + folder + "'\nprintf '%s\\n' \"$@\" '' >>calls\necho >>count\nN=$(wc -l <count)\n" + script
	if err := os.WriteFile(command, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return command, func() []string {
		data, err := os.ReadFile(filepath.Join(folder, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(data), "\n\n"), "\n\n")
	}
}

func cursorOf(n int) string {
	return fmt.Sprintf("s=%s;i=%x;b=%s;m=%x;t=%x;x=0", firstBoot, n+1, firstBoot, 1000+n, epoch.UnixMicro()+int64(n)*1e6)
}

// shell is a shell command that prints the n-th entry.
func shell(n int) string {
	return fmt.Sprintf("printf '__CURSOR=%%s\\n__REALTIME_TIMESTAMP=%d\\nMESSAGE=%d\\n\\n' '%s'\n",
		epoch.UnixMicro()+int64(n)*1e6, n, cursorOf(n))
}

// TestRestart: a child dies in the middle of an entry, ends for no reason, and cannot be understood; nothing is lost or
// doubled, and the reasons are told.
func TestRestart(t *testing.T) {
	t.Parallel()
	command, calls := fake(t, `case $N in
1) `+shell(0)+shell(1)+`printf '__CURSOR=x'; echo 'Bad message' >&2; exit 1;;
2) `+shell(1)+shell(2)+`;;
3) `+shell(2)+shell(3)+`echo 'the disk is on fire' >&2; exit 3;;
4) `+shell(3)+shell(4)+`echo '-- not a field --'; exec sleep 60;;
5) `+shell(4)+shell(5)+`;;
*) `+shell(5)+shell(6)+`exec sleep 60;;
esac`)
	r := start(t, sourceOf(t, Config{Directory: "/nonexistent", Command: command}), journal.Start{})
	r.until(7)
	r.stop()
	r.want("0", "1", "2", "3", "4", "5", "6")
	wantReports := []string{"unexpected EOF", "exit status 3: it said \"the disk is on fire\"", "not the journal export format", "ended without a reason"}
	if len(r.reports) != len(wantReports) {
		t.Fatalf("reports %q, want %d", r.reports, len(wantReports))
	}
	for i, want := range wantReports {
		if !strings.Contains(r.reports[i], want) {
			t.Errorf("report %q does not say %q", r.reports[i], want)
		}
	}
	for i, call := range calls() {
		follows := strings.Contains(call, "--follow\n--no-tail\n")
		if follows != (i >= 2) || strings.Contains(call, "--after-cursor") {
			t.Errorf("call %d: %q", i, call)
		}
		if want := "--cursor=" + cursorOf(i); i > 0 && !strings.HasSuffix(call, want) {
			t.Errorf("call %d: %q does not end in %s", i, call, want)
		}
	}
}

// TestClockPutBack: a position of an older boot is no place to follow from, and the running boot is new whatever its
// clock says.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	running := "s=" + secondBoot + ";i=1;b=" + secondBoot + ";m=1;t=1;x=0"
	command, calls := fake(t, `case $N in
1) `+shell(0)+shell(1)+`;;
*) printf '__CURSOR=%s\n__REALTIME_TIMESTAMP=1\nMESSAGE=running\n\n' '`+running+`'; exec sleep 60;;
esac`)
	s := sourceOf(t, Config{Command: command})
	resume, err := journal.ParsePosition(cursorOf(0))
	if err != nil {
		t.Fatal(err)
	}
	s.boot, err = bootOf(secondBoot)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, s, journal.Start{Resume: resume})
	r.until(2)
	r.stop()
	r.want("1", "running")
	if got := r.position.String(); got != running {
		t.Errorf("position %s, want %s", got, running)
	}
	got := calls()
	if !strings.HasSuffix(got[0], "--cursor="+cursorOf(0)) || !strings.HasSuffix(got[1], "--follow\n--no-tail") {
		t.Errorf("calls %q", got)
	}
}

func bootOf(text string) (journal.ID, error) {
	p, err := journal.ParsePosition("b=" + text)
	return p.Boot, err
}

func TestEmitFails(t *testing.T) {
	t.Parallel()
	command, _ := fake(t, shell(0)+"exec sleep 60\n")
	enough := errors.New("enough")
	err := sourceOf(t, Config{Directory: "/nonexistent", Command: command}).Follow(t.Context(), journal.Start{},
		func(journal.Batch) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("Follow = %v, want the error of emit", err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	var said tail
	for range 1000 {
		_, _ = said.Write([]byte(strings.Repeat("x", 99) + "\n"))
	}
	_, _ = said.Write([]byte("the end"))
	if len(said.last) > maxReason || !strings.HasSuffix(string(said.last), "x\nthe end") {
		t.Errorf("kept %d bytes, %q", len(said.last), said.last[max(0, len(said.last)-20):])
	}
}

// TestReplayed: which entries lie at or before the position to resume from, read in this order.
func TestReplayed(t *testing.T) {
	t.Parallel()
	at := func(seqnumID, boot byte, seqnum, monotonic, realtime uint64) journal.Position {
		return journal.Position{
			SeqnumID: journal.ID{seqnumID}, Boot: journal.ID{boot}, Seqnum: seqnum, Monotonic: monotonic, Realtime: realtime,
		}
	}
	resume := at(1, 1, 10, 100, 1000)
	for _, c := range []struct {
		name    string
		running byte // the boot; 0: of no matter
		read    []journal.Position
		want    []bool
	}{
		{"by number", 0, []journal.Position{at(1, 1, 9, 0, 0), resume, at(1, 1, 11, 0, 0)}, []bool{true, true, false}},
		{"not there", 0, []journal.Position{at(1, 1, 9, 0, 0), at(1, 1, 11, 0, 0)}, []bool{true, false}},
		{"in one boot by monotonic time", 0, []journal.Position{at(2, 1, 99, 99, 9999), at(2, 1, 1, 101, 1)}, []bool{true, false}},
		{"else by real time", 0, []journal.Position{at(2, 2, 99, 999, 999), at(2, 2, 1, 1, 1001)}, []bool{true, false}},
		{"behind it all are new", 0, []journal.Position{resume, at(2, 2, 1, 1, 1)}, []bool{true, false}},
		{"the running boot is the last", 2, []journal.Position{at(2, 2, 1, 1, 1), at(1, 1, 9, 0, 0), resume}, []bool{false, true, true}},
		{"boots before the running one", 1, []journal.Position{at(2, 2, 1, 1, 9999), at(1, 1, 11, 101, 1001)}, []bool{true, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &Source{}
			s.boot[0] = c.running
			f := newFollower(s, journal.Start{Resume: resume}, nil)
			var got []bool
			for _, p := range c.read {
				got = append(got, f.replayed(p))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("replayed (-want +got):\n%s", diff)
			}
		})
	}
}
