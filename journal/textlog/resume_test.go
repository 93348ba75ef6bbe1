package textlog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exile/journal"
)

func TestResume(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(t *testing.T, log string) // between the two runs
		since  time.Time
		resume bool // behind "two"
		want   []string
		gaps   []journal.GapKind
	}{
		{name: "unchanged", resume: true, want: []string{"three"}},
		{
			name: "replay", resume: true, since: epoch.Add(5 * time.Second),
			want: []string{"!two", "three"},
		},
		{
			name: "old but new to us", resume: true, since: epoch.Add(time.Hour),
			want: []string{"three"},
		},
		{name: "no position", since: epoch.Add(5 * time.Second), want: []string{"two", "three"}},
		{
			name: "rotated", resume: true, since: epoch.Add(5 * time.Second),
			change: func(t *testing.T, log string) {
				ok(t, os.Rename(log, log+".1"))
				appendTo(t, log, stamped(30, "four"))
			},
			want: []string{"!two", "three", "four"},
		},
		{
			name: "rotated twice, with a date", resume: true,
			change: func(t *testing.T, log string) {
				ok(t, os.Rename(log, log+"-20260102"))
				ok(t, os.Chtimes(log+"-20260102", time.Time{}, epoch))
				appendTo(t, log+"-20260103", stamped(30, "four"))
				appendTo(t, log, stamped(40, "five"))
			},
			want: []string{"three", "four", "five"},
		},
		{
			name: "an older rotation was read before", resume: true, since: epoch.Add(-5 * time.Second),
			change: func(t *testing.T, log string) {
				appendTo(t, log+".1", stamped(-20, "older"), stamped(-3, "old"))
				ok(t, os.Chtimes(log+".1", time.Time{}, epoch.Add(-time.Second)))
			},
			want: []string{"!old", "!one", "!two", "three"},
		},
		{
			name: "copied and truncated", resume: true,
			change: func(t *testing.T, log string) {
				copyTo(t, log, log+".1")
				ok(t, os.WriteFile(log, []byte(stamped(30, "four")), 0o600))
			},
			want: []string{"three", "four"},
		},
		{
			name: "rotated and not back yet", resume: true,
			change: func(t *testing.T, log string) { ok(t, os.Rename(log, log+".1")) },
			want:   []string{"three"},
		},
		{
			name: "gone, and the inode used again", resume: true,
			change: func(t *testing.T, log string) {
				ok(t, os.WriteFile(log, []byte(strings.Repeat(stamped(30, "four"), 3)), 0o600))
			},
			want: []string{"four", "four", "four"},
			gaps: []journal.GapKind{journal.GapVacuumed},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "auth.log")
			appendTo(t, log, stamped(0, "one"), stamped(10, "two"), stamped(20, "three"))
			r := start(t, journal.Start{}, log)
			r.untilLines(3)
			r.stop()
			if c.change != nil {
				c.change(t, log)
			}
			from := journal.Start{Since: c.since}
			if c.resume {
				from.Resume = parsed(t, r.each[1])
			}
			again := start(t, from, log)
			again.untilLines(len(c.want))
			again.stop()
			again.want(c.want...)
			again.wantGaps(c.gaps...)
		})
	}
}

// parsed is a position that was stored and read back.
func parsed(t testing.TB, p journal.Position) journal.Position {
	t.Helper()
	p, err := journal.ParsePosition(p.String())
	ok(t, err)
	return p
}

func TestSeveralLogs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	a, b, c := filepath.Join(folder, "a.log"), filepath.Join(folder, "b.log"), filepath.Join(folder, "c.log")
	appendTo(t, a, stamped(0, "a0"), stamped(2, "a2"))
	appendTo(t, b, stamped(1, "b1"), stamped(3, "b3"))
	ok(t, os.WriteFile(a+".gz", []byte("not read\n"), 0o600))
	r := start(t, journal.Start{}, filepath.Join(folder, "*.log*"))
	r.untilLines(4)
	r.stop()
	r.want("a0", "b1", "a2", "b3")

	appendTo(t, a, stamped(4, "a4"))
	appendTo(t, b, stamped(5, "b5"))
	appendTo(t, c, stamped(6, "c6"))
	again := start(t, journal.Start{Resume: parsed(t, r.position), Since: epoch.Add(2 * time.Second)},
		filepath.Join(folder, "*.log*"))
	again.untilLines(5)
	again.want("!a2", "!b3", "a4", "b5", "c6")
	again.wantGaps()
}
