package follow_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
	"exile/journal/follow"
	"exile/journal/internal/makejournal"
)

// TestFields: the fields that the source was asked for are delivered with each entry, also of files that are read ahead; the first of a name
// counts, and long ones are cut.
func TestFields(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file := range 3 { // the first two are archived
		var export []byte
		for i := file * 10; i < file*10+10; i++ {
			export = makejournal.Entry{
				Realtime: 1700000000000000 + uint64(i)*1000000, Monotonic: uint64(i+1) * 1000000, Boot: boot1,
				Fields: []makejournal.Field{
					{Name: "_UID", Value: "0"},
					{Name: "MESSAGE", Value: "ban"},
					{Name: "EXILE_ADDRESS", Value: fmt.Sprintf("192.0.2.%d", i)},
					{Name: "EXILE_REASON", Value: strings.Repeat("x", 8<<10)},
				},
			}.Export(export)
		}
		makejournal.Write(t, filepath.Join(dir, fmt.Sprintf("system@%032x-%016x-%016x.journal", 7, file, file)), format, export)
	}
	s, err := follow.New(follow.Config{Dirs: []string{dir}, Prefix: "EXILE_"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := collectBatches(t, s, func(b journal.Batch) bool {
		for _, e := range b.Entries {
			got = append(got, fmt.Sprint(len(e.Fields), e.Fields["EXILE_ADDRESS"], len(e.Fields["EXILE_REASON"])))
		}
		return b.CaughtUp
	}); !errors.Is(err, errDone) {
		t.Fatal(err)
	}
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint(2, fmt.Sprintf("192.0.2.%d", i), 4<<10-len("EXILE_REASON=")))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// collectBatches follows from the oldest entry until done says so.
func collectBatches(t *testing.T, s *follow.Source, done func(journal.Batch) bool) error {
	t.Helper()
	return s.Follow(t.Context(), journal.Start{}, func(b journal.Batch) error {
		if done(b) {
			return errDone
		}
		return nil
	})
}
