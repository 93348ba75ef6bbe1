// Package makejournal makes real journal files for tests, with systemd-journal-remote.
package makejournal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Format is the variant of the file format to write.
type Format struct {
	Compact      bool
	Keyed        bool
	Uncompressed bool
}

// String names the format in test names.
func (f Format) String() string {
	s := "classic"
	if f.Compact {
		s = "compact"
	}
	if f.Keyed {
		s += "-keyed"
	}
	if f.Uncompressed {
		s += "-uncompressed"
	}
	return s
}

// Formats are the formats that the tool can be told to write.
func Formats() []Format {
	return []Format{{true, true, false}, {true, true, true}, {false, true, false}, {false, true, true}, {false, false, false}, {false, false, true}}
}

// Field is one field of an entry; its value may be anything.
type Field struct{ Name, Value string }

// Entry is an entry to write.
type Entry struct {
	Realtime  uint64 // µs since 1970
	Monotonic uint64 // µs
	Boot      string // 32 hexadecimal digits
	Fields    []Field
}

// Export appends the entry in the journal export format.
func (e Entry) Export(b []byte) []byte {
	b = fmt.Appendf(b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n", e.Realtime, e.Monotonic, e.Boot)
	for _, f := range e.Fields {
		if !strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' && r != '\t' }) {
			b = fmt.Appendf(b, "%s=%s\n", f.Name, f.Value)
			continue
		}
		b = append(append(b, f.Name...), '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Value)))
		b = append(append(b, f.Value...), '\n')
	}
	return append(b, '\n')
}

// Tool returns the path of systemd-journal-remote; it skips the test, saying so, when there is none.
func Tool(tb testing.TB) string {
	tb.Helper()
	for _, dir := range []string{"/usr/lib/systemd/", "/lib/systemd/"} {
		if _, err := os.Stat(dir + "systemd-journal-remote"); err == nil {
			return dir + "systemd-journal-remote"
		}
	}
	tb.Skip("SKIPPED: systemd-journal-remote is not installed: nothing is compared with real journal files")
	return ""
}

// Write writes export-format text to the journal file at path.
func Write(tb testing.TB, path string, f Format, export []byte) {
	tb.Helper()
	cmd := exec.Command(Tool(tb), "--split-mode=none", "-o", path, "-")
	cmd.Env = append(os.Environ(), "SYSTEMD_JOURNAL_COMPACT="+boolean(f.Compact), "SYSTEMD_JOURNAL_KEYED_HASH="+boolean(f.Keyed))
	if f.Uncompressed {
		cmd.Args = append(cmd.Args, "--compress=no")
	}
	cmd.Stdin = bytes.NewReader(export)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("write journal %s: %v: %s", path, err, out)
	}
}

func boolean(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
