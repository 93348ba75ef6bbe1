package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLastWeek: of the last week, and of no time before it, the lines are counted, and the failures among them and whose they are.
func TestLastWeek(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, file := filepath.Join(dir, "vsftpd.log"), filepath.Join(dir, "exile.yaml")
	line := func(age time.Duration, address, what string) string {
		return fmt.Sprintf("%s [pid 7] [bob] %s: Client \"%s\"\n", time.Now().Add(-age).Format("Mon Jan _2 15:04:05 2006"), what, address)
	}
	text := line(10*24*time.Hour, "192.0.2.1", "FAIL LOGIN") + line(6*24*time.Hour, "192.0.2.2", "FAIL LOGIN") + line(time.Hour, "192.0.2.3", "FAIL LOGIN") +
		line(time.Hour, "192.0.2.3", "FAIL LOGIN") + line(time.Minute, "192.0.2.4", "OK LOGIN") + line(time.Minute, "192.0.2.4", "CONNECT")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "journal: [/nowhere]\njails: {sshd: {enabled: no}, vsftpd: {logpath: "+log+"}}\n")
	for _, c := range []struct{ log, says string }{
		{text, "5 lines of the last week read, 3 failures of 2 addresses.\n"},
		{line(time.Minute, "192.0.2.4", "CONNECT"), "1 line of the last week read, no failure among them.\n"},
		{"", "The log has no line of its service from the last week.\n"},
	} {
		write(log, c.log)
		var out strings.Builder
		if err := showLastWeek(t.Context(), options{config: file, lastWeek: "vsftpd"}, &out); err != nil || out.String() != c.says {
			t.Errorf("it says %q, %v, want %q", out.String(), err, c.says)
		}
	}
	if err := showLastWeek(t.Context(), options{config: file, lastWeek: "vsftp"}, new(strings.Builder)); err == nil {
		t.Error("there is a jail vsftp")
	}
}

// TestLastWeekCutShort: what was not read is not called empty.
func TestLastWeekCutShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		week lastWeek
		says string
	}{
		{lastWeek{}, "The log is too long to be read in 5s: what it has of its service is not known."},
		{lastWeek{whole: true}, "The log has no line of its service from the last week."},
		{lastWeek{lines: 2, until: time.Date(2026, 11, 30, 12, 0, 0, 0, time.Local)}, "2 lines of the last week read, no failure among them. That took long: what was logged after Mon 12:00:00 is not counted."},
		{lastWeek{whole: true, trouble: errors.New("a\nb")}, "The log has no line of its service from the last week. Not everything can be read: a; b."},
	} {
		if got := c.week.String(); got != c.says {
			t.Errorf("it says %q, want %q", got, c.says)
		}
	}
}
