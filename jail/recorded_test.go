package jail_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// recorded is one connection, or a few, to a real sshd, see testdata/sshd.
type recorded struct {
	name    string
	counted int // attempts that must be counted; -1: not told
	entries []journal.Entry
}

var (
	caseLine = regexp.MustCompile(`^# case (.*) guesses=(\d+|None)(?: counted=(\d+))?$`)
	logLine  = regexp.MustCompile(`^([^[]+)\[(\d+)\]\t(.*)$`)
)

func readRecorded(t *testing.T, name string) (cases []recorded) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		if m := caseLine.FindStringSubmatch(scanner.Text()); m != nil {
			cases = append(cases, recorded{name: m[1], counted: number(m[3], number(m[2], -1))})
			continue
		}
		m := logLine.FindStringSubmatch(scanner.Text())
		if m == nil {
			if !strings.HasPrefix(scanner.Text(), "#") {
				t.Fatalf("%s:%d: not a line of a log: %q", name, n, scanner.Text())
			}
			continue
		}
		c := &cases[len(cases)-1]
		c.entries = append(c.entries, journal.Entry{
			Time: start.Add(time.Duration(len(c.entries)) * time.Second), PID: int32(number(m[2], 0)), Message: []byte(m[3]),
		})
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

func number(s string, or int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return or
}

// TestRecordedConnections: as many attempts are counted as guesses were made, at every log level, with and without PAM, and
// nobody but the client is named.
func TestRecordedConnections(t *testing.T) {
	t.Parallel()
	f, err := filter.New("sshd", filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	aggressive, err := filter.New("sshd", filter.Options{Mode: "aggressive", Publickey: "any"})
	if err != nil {
		t.Fatal(err)
	}
	clients := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::7")}
	files, err := filepath.Glob("testdata/sshd/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, name := range files {
		for _, c := range readRecorded(t, name) {
			for _, e := range c.entries {
				for _, message := range [][]byte{e.Message, bytes.TrimRight(e.Message, " ")} { // as sent, as journald stores it
					if a := aggressive.Parse(message).Addr; a.IsValid() && !slices.Contains(clients, a) {
						t.Errorf("%s: %s: %q names %v", filepath.Base(name), c.name, message, a)
					}
				}
			}
			counted, lines := count(f, c.entries)
			if c.counted >= 0 && counted != c.counted {
				t.Errorf("%s: %s: %d attempts, want %d\n%s", filepath.Base(name), c.name, counted, c.counted, lines)
			}
		}
	}
}

// count is the attempts that are left when all is over, and what each line added.
func count(f jail.Filter, entries []journal.Entry) (n int, lines string) {
	c := jail.NewConnections()
	var b strings.Builder
	for i := range entries {
		e := &entries[i]
		added := 0
		for _, a := range c.Observe(c.Resolve(f.Parse(e.Message), e.Time), e, c.Advance(e.Time, nil)) {
			added += a.Guesses - a.Forgiven
		}
		n += added
		fmt.Fprintf(&b, "%+d\t%d\t%s\n", added, e.PID, e.Message)
	}
	for _, a := range c.Advance(start.Add(time.Hour), nil) {
		n += a.Guesses
		fmt.Fprintf(&b, "%+d\tat last: %s\n", a.Guesses, a.Rule)
	}
	return n, b.String()
}
