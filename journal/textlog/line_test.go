package textlog

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the table names zones; do not depend on the host's

	"github.com/google/go-cmp/cmp"
)

type lineCase struct {
	line string
	ref  Reference
	want Line
}

// readCases reads testdata/lines.txt; the columns are explained there.
func readCases(t testing.TB) []lineCase {
	t.Helper()
	data, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []lineCase
	for row := range strings.Lines(string(data)) {
		row = strings.TrimSuffix(row, "\n")
		if strings.HasPrefix(row, "#") {
			continue
		}
		cells := strings.Split(row, "|")
		if len(cells) != 8 {
			t.Fatalf("row has %d cells, want 8: %q", len(cells), row)
		}
		for i, cell := range cells {
			if cell == "-" {
				cells[i] = ""
			}
		}
		loc, err := time.LoadLocation(cells[0])
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(cells[6])
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, lineCase{
			line: cells[3],
			ref:  Reference{Location: loc, Now: stampOf(t, cells[1]), Last: stampOf(t, cells[2])},
			want: Line{Time: stampOf(t, cells[4]), Identifier: []byte(cells[5]), PID: int32(pid), Message: []byte(cells[7])},
		})
	}
	return cases
}

func stampOf(t testing.TB, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	bytesEqual := cmp.Comparer(bytes.Equal)
	for _, c := range readCases(t) {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			got := ParseLine([]byte(c.line), c.ref)
			got.Host = nil // see testdata/repeats.txt
			if diff := cmp.Diff(c.want, got, bytesEqual); diff != "" {
				t.Errorf("ParseLine (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseLineAllocatesNothing(t *testing.T) {
	cases := readCases(t)
	lines := make([][]byte, len(cases))
	for i, c := range cases {
		lines[i] = []byte(c.line)
	}
	allocs := testing.AllocsPerRun(100, func() {
		for i, c := range cases {
			ParseLine(lines[i], c.ref)
		}
	})
	if allocs != 0 {
		t.Errorf("ParseLine allocated %v times in %d lines, want 0", allocs, len(cases))
	}
}

// FuzzParseLine: whatever the line, the parts are parts of it, in order, and the time is not in the future.
func FuzzParseLine(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add([]byte(c.line), c.ref.Now.Unix())
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte, now int64) {
		ref := Reference{Location: berlin, Now: time.Unix(now%(1<<34), 0)}
		l := ParseLine(line, ref)
		if !bytes.HasSuffix(line, l.Message) {
			t.Errorf("message %q is not the end of %q", l.Message, line)
		}
		if !bytes.Contains(line[:len(line)-len(l.Message)], l.Identifier) {
			t.Errorf("identifier %q does not stand before the message in %q", l.Identifier, line)
		}
		if l.PID < 0 || l.PID > 999_999_999 {
			t.Errorf("PID %d", l.PID)
		}
		if l.Time.After(ref.Now.Add(ahead)) {
			t.Errorf("time %v is in the future of %v", l.Time, ref.Now)
		}
	})
}

func BenchmarkParseLine(b *testing.B) {
	ref := Reference{Location: time.UTC, Now: time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)}
	line := []byte("Nov 22 22:56:02 host sshd[123]: Failed password for root from 192.0.2.1 port 22 ssh2")
	b.ReportAllocs()
	for b.Loop() {
		ParseLine(line, ref)
	}
}
