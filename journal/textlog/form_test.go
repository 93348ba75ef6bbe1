package textlog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/journal"
)

// readServiceCases reads testdata/services.txt; the columns are explained there.
func readServiceCases(t testing.TB) []lineCase {
	t.Helper()
	data, err := os.ReadFile("testdata/services.txt")
	ok(t, err)
	var cases []lineCase
	for row := range strings.Lines(string(data)) {
		row = strings.TrimSuffix(row, "\n")
		if strings.HasPrefix(row, "#") {
			continue
		}
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			t.Fatalf("row has %d cells, want 5: %q", len(cells), row)
		}
		for i, cell := range cells {
			if cell == "-" {
				cells[i] = ""
			}
		}
		loc, err := time.LoadLocation(cells[0])
		ok(t, err)
		cases = append(cases, lineCase{
			line: cells[3],
			ref:  Reference{Location: loc, Now: stampOf(t, cells[1]), Last: stampOf(t, cells[2]), Form: FormLine},
			want: Line{Time: stampOf(t, cells[4]), Message: []byte(cells[3])},
		})
	}
	return cases
}

func TestParseLineOfService(t *testing.T) {
	t.Parallel()
	for _, c := range readServiceCases(t) {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, ParseLine([]byte(c.line), c.ref)); diff != "" {
				t.Errorf("ParseLine (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseLineOfServiceAllocatesNothing(t *testing.T) {
	cases := readServiceCases(t)
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

// FuzzParseLineOfService: whatever the line, it is the message; and whatever a client says, as the user or as the user agent, its line
// is neither older than it is nor of the future.
func FuzzParseLineOfService(f *testing.F) {
	for _, c := range readServiceCases(f) {
		f.Add([]byte(c.line), c.ref.Now.Unix())
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	ok(f, err)
	f.Fuzz(func(t *testing.T, line []byte, now int64) {
		ref := Reference{Location: berlin, Now: time.Unix(now%(1<<34), 0), Form: FormLine}
		l := ParseLine(line, ref)
		if !bytes.Equal(l.Message, line) || l.Host != nil || l.Identifier != nil || l.PID != 0 {
			t.Errorf("ParseLine(%q) = %+v, want the whole line as the message", line, l)
		}
		if l.Time.After(ref.Now.Add(ahead)) {
			t.Errorf("time %v is in the future of %v", l.Time, ref.Now)
		}
		ref.Now = time.Date(2026, 11, 30, 15, 4, 30, 0, time.UTC)
		stamp := time.Date(2026, 11, 30, 15, 4, 5, 0, time.UTC)
		for _, forged := range []string{
			`192.0.2.1 - ` + string(line) + ` [30/Nov/2026:15:04:05 +0000] "GET / HTTP/1.1" 401 17`,
			`192.0.2.1 - - [30/Nov/2026:15:04:05 +0000] "GET / HTTP/1.1" 401 17 "` + string(line) + `"`,
		} {
			at := ParseLine([]byte(forged), ref).Time
			if at.Before(stamp) || at.After(ref.Now.Add(slack)) {
				t.Errorf("time of %q is %v, want %v", forged, at, stamp)
			}
		}
	})
}

func TestFollowLines(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	lines := []string{
		`192.0.2.1 - - [22/Nov/2024:12:00:01 +0000] "GET / HTTP/1.1" 401 17 "-" "-"`,
		"\tgoes on",
		`host sshd[7]: no time`,
		`last message repeated 3 times`,
		`{"ts":1732276803.5,"msg":"x"}`,
	}
	appendTo(t, log, strings.Join(lines, "\r\n"), "\n")
	r := startWith(t, journal.Start{}, Config{Paths: []string{log}, Form: FormLine})
	r.untilLines(len(lines))
	r.want(lines...)
	second := epoch.Add(time.Second)
	if diff := cmp.Diff([]time.Time{second, second, second, second, epoch.Add(3500 * time.Millisecond)}, r.times); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	if r.undated != 2 {
		t.Errorf("%d lines without a time, want 2", r.undated)
	}
}

func BenchmarkParseLineOfService(b *testing.B) {
	ref := Reference{Location: time.UTC, Now: time.Date(2026, 11, 30, 15, 5, 0, 0, time.UTC), Form: FormLine}
	for name, line := range map[string]string{
		"error":  `2026/11/30 15:04:05 [error] 12#12: *1 user "x": password mismatch, client: 192.0.2.1, server: _, request: "GET / HTTP/1.1"`,
		"access": `192.0.2.1 - - [30/Nov/2026:15:04:05 +0000] "GET / HTTP/1.1" 401 17 "-" "Mozilla/5.0 (X11; rv:109.0) Firefox/117.0"`,
		"json": `{"level":"info","ts":1796051045.123456,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.1",` +
			`"remote_port":"41342","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/","headers":{"User-Agent":["curl/7.82.0"],` +
			`"Accept":["*/*"]},"tls":{"resumed":false,"version":772}},"bytes_read":0,"user_id":"","duration":0.0009,"size":0,"status":401}`,
	} {
		b.Run(name, func(b *testing.B) {
			line := []byte(line)
			b.ReportAllocs()
			for b.Loop() {
				ParseLine(line, ref)
			}
		})
	}
}
