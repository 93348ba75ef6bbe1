package jail_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// recorded is one connection, or a few, to a real sshd, see filter/testdata/sshd.
type recorded struct {
	name    string
	counted int // attempts that must be counted
	entries []journal.Entry
}

var (
	caseLine = regexp.MustCompile(`^# case (.*) guesses=\d+ counted=(\d+)$`)
	logLine  = regexp.MustCompile(`^(?:[^\t]*\t){6}[a-z-]+\[(\d+)\]: (.*)$`)
)

func readRecorded(t *testing.T, name string) (cases []recorded) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(data)) {
		text = strings.TrimSuffix(text, "\n")
		if m := caseLine.FindStringSubmatch(text); m != nil {
			cases = append(cases, recorded{name: m[1], counted: number(t, m[2])})
			continue
		}
		m := logLine.FindStringSubmatch(text)
		if m == nil {
			if !strings.HasPrefix(text, "#") {
				t.Fatalf("%s: not a line of a log: %q", name, text)
			}
			continue
		}
		c := &cases[len(cases)-1]
		c.entries = append(c.entries, journal.Entry{
			Time: start.Add(time.Duration(len(c.entries)) * time.Second), PID: int32(number(t, m[1])), Message: []byte(m[2]),
		})
	}
	return cases
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// isClient reports whether addr is one of the recordings' clients.
func isClient(addr netip.Addr) bool {
	return netip.MustParsePrefix("198.51.100.0/24").Contains(addr) || netip.MustParsePrefix("2001:db8:bad::/48").Contains(addr) ||
		netip.MustParsePrefix("fe80::100/120").Contains(addr)
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
	files, err := filepath.Glob("filter/testdata/sshd/[0-9]*.txt")
	if err != nil || len(files) < 2 {
		t.Fatalf("recordings: %q, %v", files, err)
	}
	for _, name := range files {
		for _, c := range readRecorded(t, name) {
			for _, e := range c.entries {
				for _, message := range [][]byte{e.Message, bytes.TrimRight(e.Message, " ")} { // as sent, as journald stores it
					if a := aggressive.Parse(message).Addr; a.IsValid() && !isClient(a) {
						t.Errorf("%s: %s: %q names %v", filepath.Base(name), c.name, message, a)
					}
				}
			}
			counted, lines := count(f, c.entries)
			if counted != c.counted {
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
