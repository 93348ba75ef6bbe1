package textlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/journal"
)

// TestRepeats: "last message repeated 3 times" stands for three more of the line before, if that is the same host's.
func TestRepeats(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/repeats.txt")
	if err != nil {
		t.Fatal(err)
	}
	ref := Reference{Now: time.Date(2026, 2, 8, 0, 0, 0, 0, time.UTC)}
	cases := 0
	for paragraph := range strings.SplitSeq(string(data), "\n\n") {
		var repeats Repeats
		got := ""
		for line := range strings.Lines(paragraph) {
			line = strings.TrimSuffix(line, "\n")
			want, ok := strings.CutPrefix(line, "=> ")
			switch {
			case strings.HasPrefix(line, "#"):
			case !ok:
				l := ParseLine([]byte(line), ref)
				repeats.Expand(&l)
				got = fmt.Sprintf("%s|%d|%s", l.Identifier, l.PID, l.Message)
			case got != want:
				t.Errorf("%s\ngot %q", paragraph, got)
				fallthrough
			default:
				cases++
			}
		}
	}
	if cases < 10 {
		t.Errorf("%d cases: the file is not whole", cases)
	}
}

// TestFollowRepeats: a log that is followed has such lines, also where the line before came a while ago.
func TestFollowRepeats(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	appendTo(t, log, "Feb  7 10:00:00 host sshd[5]: x\n")
	r := start(t, journal.Start{}, log)
	r.untilLines(1)
	const again = "Feb  7 10:00:05 host last message repeated 3 times\n"
	appendTo(t, log, again, "Feb  7 10:00:06 host sshd[5]: y\n", again)
	r.untilLines(4)
	r.want("x", "message repeated 3 times: [ x]", "y", "message repeated 3 times: [ y]")
}

// TestUndated: lines whose time cannot be read are counted, once.
func TestUndated(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	appendTo(t, log, "host sshd[5]: no stamp\n", stamped(0, "one"), "  2. Feb 10:00:00 host sshd[5]: x\n", stamped(2, "two"))
	r := start(t, journal.Start{}, log)
	r.untilLines(4)
	r.stop()
	if r.undated != 2 {
		t.Errorf("%d lines without a time, want 2", r.undated)
	}
	appendTo(t, log, "tomorrow\n")
	r = start(t, journal.Start{Resume: r.position, Since: epoch.Add(-time.Hour)}, log)
	r.until(func() bool { return len(r.lines) > 0 && r.lines[len(r.lines)-1] == "tomorrow" })
	if r.undated != 1 {
		t.Errorf("%d more after a restart, want 1", r.undated)
	}
}

// TestTrouble: a log that is not there is told as long as it is not.
func TestTrouble(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "auth.log")
	r := start(t, journal.Start{}, log, filepath.Join(t.TempDir(), "other.log"))
	r.until(func() bool { return errors.Is(r.trouble, fs.ErrNotExist) && strings.Contains(r.trouble.Error(), log) })
	appendTo(t, log, stamped(0, "one"))
	r.until(func() bool { return r.trouble == nil && len(r.lines) > 0 })
	r.want("one")
}
