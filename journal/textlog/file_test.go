package textlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
)

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
