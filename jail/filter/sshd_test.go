package filter_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/jail"
	"exile/jail/filter"
)

func newSSHD(t testing.TB, o filter.Options) jail.Filter {
	t.Helper()
	f, err := filter.New("sshd", o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// corpusCase is one line of a corpus, see testdata/sshd/README.
type corpusCase struct {
	where   string
	want    []string // the first six columns
	message string
}

func readCorpus(t testing.TB, pattern string) []corpusCase {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus at %s: %v", pattern, err)
	}
	var cases []corpusCase
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		scanner := bufio.NewScanner(f)
		for n := 1; scanner.Scan(); n++ {
			text := scanner.Text()
			if text == "" || text[0] == '#' {
				continue
			}
			c := corpusCase{where: fmt.Sprintf("%s:%d", filepath.Base(name), n)}
			columns := strings.SplitN(text, "\t", 7)
			if len(columns) != 7 {
				t.Fatalf("%s: %d columns, want 7", c.where, len(columns))
			}
			c.want, c.message = columns[:6], columns[6]
			if strings.HasPrefix(c.message, `"`) {
				if c.message, err = strconv.Unquote(c.message); err != nil {
					t.Fatalf("%s: %v", c.where, err)
				}
			}
			cases = append(cases, c)
		}
		if err := scanner.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return cases
}

// columns prints an event as a corpus does. Flags come in a fixed order.
func columns(ev jail.Event) []string {
	c := []string{kindName(ev.Kind), "-", "-", "-", "-", "-"}
	if ev.Rule != "" {
		c[1] = ev.Rule
	}
	if ev.Addr.IsValid() {
		c[2] = ev.Addr.String()
	}
	if ev.Port != 0 {
		c[3] = strconv.Itoa(int(ev.Port))
	}
	if ev.User != nil {
		c[4] = strconv.Quote(string(ev.User))
	}
	if flags := flags(ev); len(flags) > 0 {
		c[5] = strings.Join(flags, ",")
	}
	return c
}

func flags(ev jail.Event) []string {
	var f []string
	add := func(is bool, name string) {
		if is {
			f = append(f, name)
		}
	}
	add(ev.Kind != jail.None && ev.Evidence != jail.Guess, [...]string{"guess", "dialog", "dialogpam", "once", "limit"}[ev.Evidence])
	add(ev.Method != "", ev.Method)
	add(ev.Unknown, "unknown")
	add(ev.Weak, "weak")
	add(ev.Alone, "alone")
	add(ev.Last, "last")
	add(ev.OrEnd, "orend")
	add(ev.Count > 1, fmt.Sprintf("x%d", ev.Count))
	add(ev.PID != 0, fmt.Sprintf("pid=%d", ev.PID))
	return f
}

func kindName(k jail.Kind) string {
	return [...]string{"none", "failure", "probe", "nomatch", "success", "end"}[k]
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	f := newSSHD(t, filter.Options{Mode: "aggressive"})
	for _, c := range readCorpus(t, "testdata/sshd/*.txt") {
		if diff := cmp.Diff(c.want, columns(f.Parse([]byte(c.message)))); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", c.where, c.message, diff)
		}
	}
}
