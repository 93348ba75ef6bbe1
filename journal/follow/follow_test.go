package follow_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"exile/journal"
	"exile/journal/follow"
	"exile/journal/internal/makejournal"
)

const (
	boot1 = "11111111111111111111111111111111"
	boot2 = "22222222222222222222222222222222"
)

var format = makejournal.Format{Compact: true, Keyed: true}

// lines makes export text of entries numbered from first, whose clocks go with their numbers.
func lines(first, n int, boot string) (export []byte) {
	for i := first; i < first+n; i++ {
		unit := "ssh.service"
		if i%10 == 9 {
			unit = "cron.service"
		}
		export = makejournal.Entry{
			Realtime: 1700000000000000 + uint64(i)*1000000, Monotonic: uint64(i+1) * 1000000, Boot: boot,
			Fields: []makejournal.Field{
				{Name: "_TRANSPORT", Value: "syslog"},
				{Name: "_UID", Value: "0"},
				{Name: "_PID", Value: fmt.Sprint(i)},
				{Name: "_SYSTEMD_UNIT", Value: unit},
				{Name: "SYSLOG_IDENTIFIER", Value: "sshd"},
				{Name: "MESSAGE", Value: fmt.Sprintf("line %d", i)},
			},
		}.Export(export)
	}
	return export
}

var sshd = journal.Selector{{{Field: "_UID", Values: []string{"0"}}, {Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}}}

// stream is what a source delivered.
type stream struct {
	texts []string // messages; "(...)" when replayed
	at    []journal.Position
	gaps  []journal.Gap
	end   journal.Position
}

var errDone = errors.New("done")

// add keeps what a batch says; the batch itself does not outlive the call.
func (s *stream) add(b journal.Batch) {
	for _, e := range b.Entries {
		text := string(e.Message)
		if e.Replayed {
			text = "(" + text + ")"
		}
		s.texts = append(s.texts, text)
		s.at = append(s.at, e.Position)
	}
	s.gaps = append(s.gaps, b.Gaps...)
	s.end = b.Position
}

// collect follows until done says so, after each batch.
func collect(t *testing.T, s *follow.Source, from journal.Start, done func(*stream, journal.Batch) bool) *stream {
	t.Helper()
	got := &stream{}
	err := s.Follow(t.Context(), from, func(b journal.Batch) error {
		got.add(b)
		if done(got, b) {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Fatalf("follow: %v", err)
	}
	return got
}

func caughtUp(_ *stream, b journal.Batch) bool { return b.CaughtUp }

func source(t *testing.T, cfg follow.Config) *follow.Source {
	t.Helper()
	s, err := follow.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// texts are the messages of the ssh entries from first up to, and without, end.
func texts(first, end int) (all []string) {
	for i := first; i < end; i++ {
		if i%10 != 9 {
			all = append(all, fmt.Sprintf("line %d", i))
		}
	}
	return all
}

func TestResumeEverywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makejournal.Write(t, filepath.Join(dir, "system.journal"), format, lines(0, 100, boot1))
	s := source(t, follow.Config{Dirs: []string{dir}, Select: sshd})
	all := collect(t, s, journal.Start{}, caughtUp)
	if diff := cmp.Diff(texts(0, 100), all.texts); diff != "" {
		t.Fatal(diff)
	}
	for i, p := range all.at {
		got := collect(t, s, journal.Start{Resume: p}, caughtUp)
		if diff := cmp.Diff(all.texts[i+1:], got.texts, cmpopts.EquateEmpty()); diff != "" || len(got.gaps) > 0 {
			t.Fatalf("after entry %d: gaps %v\n%s", i, got.gaps, diff)
		}
	}
	if got := collect(t, s, journal.Start{Resume: all.end}, caughtUp); len(got.texts) > 0 || got.end != all.end {
		t.Errorf("behind the end: %q, position %v, want %v", got.texts, got.end, all.end)
	}
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	_, err := follow.New(follow.Config{Dirs: []string{filepath.Join(t.TempDir(), "none")}})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "Storage=") {
		t.Errorf("missing directory: %v", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := source(t, follow.Config{Dirs: []string{t.TempDir()}})
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Follow(ctx, journal.Start{}, func(journal.Batch) error { cancel(); return nil })
	if err != nil {
		t.Errorf("follow: %v after cancel", err)
	}
}
