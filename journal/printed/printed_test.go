package printed

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxLine+10)
	r := bufio.NewReaderSize(strings.NewReader("a\n\n"+long+"\nb\r\nlast"), MaxLine)
	var got []string
	for {
		line, err := ReadLine(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
	if diff := cmp.Diff([]string{"a", "", long[:MaxLine], "b\r", "last"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestUndated: lines without a time have that of the line before, and those at the beginning that of the first line with one. A log without
// any was written when its file was.
func TestUndated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"one\ntwo\n2025-11-20T12:00:00Z host a: three\nfour\n2025-11-20T12:01:00Z host a: five", "one 12:00 two 12:00 three 12:00 four 12:00 five 12:01"},
		{"one\ntwo\n", "one 15:04 two 15:04"},
		{strings.Repeat("\n", maxAhead/lineCost+1) + "2025-11-20T12:00:00Z host a: b", strings.Repeat(" 15:04 ", maxAhead/lineCost+1) + "b 12:00"},
		{"", ""},
	} {
		if got := entries(t, c.text); got != c.want {
			t.Errorf("%.100q: %.200q, want %.200q", c.text, got, c.want)
		}
	}
}

// entries returns the messages and times of a log that was written at 15:04.
func entries(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	written := time.Date(2025, 11, 21, 15, 4, 0, 0, time.UTC)
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, written, written)); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	l := New(in, time.UTC)
	var all []string
	for {
		e, err := l.Entry()
		if errors.Is(err, io.EOF) {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(e.Message)+" "+e.Time.UTC().Format("15:04"))
	}
}
