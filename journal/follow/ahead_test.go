package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
	"exile/journal/internal/makejournal"
)

// told is all that a reader hands over.
type told struct {
	Texts []string
	At    []journal.Position
	Gaps  []string
	End   journal.Position
}

func (s *told) add(b journal.Batch) {
	for _, e := range b.Entries {
		text := fmt.Sprintf("%d %.20s %v", len(e.Message), e.Message, e.Replayed)
		s.Texts, s.At = append(s.Texts, text), append(s.At, e.Position)
	}
	for _, g := range b.Gaps {
		s.Gaps = append(s.Gaps, fmt.Sprint(g.Kind, filepath.Base(g.File), g.Unit, g.Entries, g.Err != nil))
	}
	s.End = b.Position
}

var errEnough = errors.New("enough")

// read reads a directory with so many readers ahead, until it has caught up or emit was called often enough. ahead is of how
// many files something was in memory at once.
func read(t *testing.T, dir string, from journal.Start, readers, batches int) (all told, ahead int) {
	t.Helper()
	ssh := journal.Selector{{{Field: "_SYSTEMD_UNIT", Values: []string{"ssh.service"}}}}
	s, err := New(Config{Dirs: []string{dir}, Select: ssh})
	if err != nil {
		t.Fatal(err)
	}
	var r *reader
	r = s.reader(from, func(b journal.Batch) error {
		all.add(b)
		held := 0
		for _, f := range r.open {
			if f.coming != nil || f.ahead != nil {
				held++
			}
		}
		ahead = max(ahead, held)
		if batches--; b.CaughtUp || batches == 0 {
			return errEnough
		}
		return nil
	})
	defer r.close()
	r.readers = readers
	if err := r.run(t.Context(), &wakes{}); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return all, ahead
}

// TestAhead: whoever reads, the same comes out, of files of which some are interleaved, with entries that cannot be read,
// are too long, or tell of a gap.
func TestAhead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeArchive(t, dir)
	want, _ := read(t, dir, journal.Start{}, 0, -1)
	if len(want.Texts) < 8000 || len(want.Gaps) < 10 {
		t.Fatalf("%d entries, gaps %q", len(want.Texts), want.Gaps)
	}
	since := want.At[len(want.At)/3].Time()
	middle, again := journal.Start{Resume: want.At[len(want.At)/2], Since: since}, journal.Start{Resume: want.End, Since: since}
	for _, from := range []journal.Start{{}, middle, again} {
		want, _ := read(t, dir, from, 0, -1)
		for readers := 1; readers < 4; readers++ {
			got, ahead := read(t, dir, from, readers, -1)
			if !reflect.DeepEqual(want, got) { // cmp is slow
				t.Errorf("%d readers (-in order +ahead):\n%.2000s", readers, cmp.Diff(want, got))
			}
			if ahead == 0 || ahead > readers {
				t.Errorf("%d of %d files were read ahead", ahead, readers)
			}
		}
	}
	for n := 1; n < 10; n++ {
		got, _ := read(t, dir, journal.Start{}, 3, n) // who stops in the midst leaves nobody reading: the files are unmapped
		if len(got.Texts) == 0 || !slices.Equal(want.Texts[:len(got.Texts)], got.Texts) {
			t.Errorf("%d batches: %.2000q", n, got.Texts)
		}
	}
}

// TestAheadStarts: what was acted upon is read ahead as well, for each start reads it again. But a disk may be so slow that
// this takes a minute: who ends does not wait for it.
func TestAheadStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var last journal.Position
	for n := range uint64(2) {
		w := makejournal.NewWriter(true, true, 0)
		w.Seqnum = n
		w.Add(journal.ID{1}, 1700000000000000+n, n+1, line(1)...)
		last = journal.Position{SeqnumID: w.SeqnumID, Seqnum: n + 1, Boot: journal.ID{1}, Monotonic: n + 1, Realtime: 1700000000000000 + n}
		write(t, dir, fmt.Sprintf("system@%d.journal", n), w.Bytes())
	}
	ended, end := context.WithCancel(t.Context())
	end()
	all := time.UnixMicro(1700000000000000)
	if n := readOnce(t.Context(), t, dir, journal.Start{}); n != 2 {
		t.Errorf("%d of 2 entries were read ahead", n)
	}
	if n := readOnce(t.Context(), t, dir, journal.Start{Resume: last, Since: all}); n != 2 {
		t.Errorf("%d of 2 entries were read ahead again", n)
	}
	if n := readOnce(t.Context(), t, dir, journal.Start{Resume: last, Since: all.Add(time.Hour)}); n != 0 {
		t.Errorf("%d entries were read ahead that nobody wants again", n)
	}
	if n := readOnce(ended, t, dir, journal.Start{}); n != 0 {
		t.Errorf("%d entries were read ahead after the end", n)
	}
}

// readOnce starts to read ahead, and returns how many entries that gave.
func readOnce(ctx context.Context, t *testing.T, dir string, from journal.Start) (n int) {
	t.Helper()
	s, err := New(Config{Dirs: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	r := s.reader(from, nil)
	defer r.close()
	r.readers = 2
	r.scan()
	r.refresh()
	r.begin()
	r.readAhead(ctx)
	for _, f := range r.open {
		if f.settle(); f.ahead != nil {
			n += len(f.ahead.entries)
		}
	}
	return n
}

// writeArchive makes the files of two writers, which go on at the same time.
func writeArchive(t *testing.T, dir string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	var writers [2]*makejournal.Writer
	usec := uint64(1)
	for i := range 14 {
		id := i % 2
		w := makejournal.NewWriter(i%3 > 0, true, makejournal.ZSTD)
		w.SeqnumID = journal.ID{byte(id + 1)}
		if writers[id] != nil {
			w.Seqnum = writers[id].Seqnum
		}
		writers[id] = w
		pair := []*makejournal.Writer{w}
		if i%4 == 3 { // the last two at once
			pair = writers[:]
		}
		for n := range rnd.IntN(2000) + maxAhead/4*(i%7) {
			usec += 1000
			clock := 1700000000000000 + usec
			if n%1000 == 10 { // it was wrong
				clock = usec
			}
			at := n + []int{0, 250, 200, 750}[i%4] // what is not like most comes first, or soon, and is of each kind
			if i%7 > 4 {                           // long ones have nothing like that
				at = n % 200
			}
			pair[n%len(pair)].Add(journal.ID{1}, clock, usec, line(at)...)
		}
		if i%4 == 2 { // it goes on with the next
			continue
		}
		for _, w := range pair {
			write(t, dir, fmt.Sprintf("system@%d-%x.journal", i, w.SeqnumID[0]), w.Bytes())
		}
	}
}

// line is the n-th of a file.
func line(n int) []string {
	switch {
	case n%500 == 200:
		unit := []string{"ssh", "cron"}[n/500%2] + ".service"
		return []string{"_TRANSPORT=driver", "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e", "_SYSTEMD_UNIT=" + unit, "N_DROPPED=5", "MESSAGE=Suppressed"}
	case n%1000 == 900:
		return []string{"_SYSTEMD_UNIT=ssh.service", "MESSAGE=" + strings.Repeat("long", 20_000)}
	case n%1000 == 300:
		return []string{"_SYSTEMD_UNIT=ssh.service", "MESSAGE=damaged"}
	case n%3 == 0:
		return []string{"_SYSTEMD_UNIT=cron.service", "MESSAGE=other"}
	default:
		return []string{"_SYSTEMD_UNIT=ssh.service", fmt.Sprintf("MESSAGE=line %d", n)}
	}
}

// write makes the object of the damaged message, or that of its entry, one of another type.
func write(t *testing.T, dir, name string, file []byte) {
	t.Helper()
	if at := strings.Index(string(file), "MESSAGE=damaged"); at > 0 {
		kind, step := byte(1), -1 // back to where the data object begins
		if len(file)%16 == 0 {
			kind, step = 3, +1 // on to the entry
		}
		for at%8 != 0 || file[at] != kind {
			at += step
		}
		file[at] = 9
	}
	if err := os.WriteFile(filepath.Join(dir, name), file, 0o600); err != nil {
		t.Fatal(err)
	}
}
