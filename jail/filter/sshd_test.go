package filter_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

var update = flag.Bool("update", false, "write what the filter says into the corpora: look at the difference before you believe it")

// corpusCase is one line of a corpus, see testdata/sshd/README.
type corpusCase struct {
	where   string
	want    []string // the first six columns
	source  string   // "sshd[4242]: ", in a recording
	message string
}

// recordedBy is what stands before the message in a recording.
var recordedBy = regexp.MustCompile(`^[a-z-]+\[\d+\]: `)

func readCorpus(t testing.TB, pattern string) (cases []corpusCase) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus at %s: %v", pattern, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for text := range strings.Lines(string(data)) {
			n++
			if text = strings.TrimSuffix(text, "\n"); text != "" && text[0] != '#' {
				cases = append(cases, readCase(t, fmt.Sprintf("%s:%d", filepath.Base(name), n), text))
			}
		}
	}
	return cases
}

func readCase(t testing.TB, where, text string) corpusCase {
	t.Helper()
	c := corpusCase{where: where}
	columns := strings.SplitN(text, "\t", 7)
	if len(columns) == 7 {
		c.want = columns[:6]
	} else if !*update || len(columns) > 1 {
		t.Fatalf("%s: %d columns, want 7", where, len(columns))
	}
	c.message = columns[len(columns)-1]
	c.source = recordedBy.FindString(c.message)
	c.message = c.message[len(c.source):]
	if strings.HasPrefix(c.message, `"`) {
		var err error
		if c.message, err = strconv.Unquote(c.message); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
	}
	return c
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
	if *update {
		updateCorpus(t, f, "testdata/sshd/*.txt")
	}
	for _, c := range readCorpus(t, "testdata/sshd/*.txt") {
		if diff := cmp.Diff(c.want, columns(f.Parse([]byte(c.message)))); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", c.where, c.message, diff)
		}
	}
}

// updateCorpus writes the first six columns of each line.
func updateCorpus(t *testing.T, f jail.Filter, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for text := range strings.Lines(string(data)) {
			if text != "\n" && text[0] != '#' {
				text = strings.TrimSuffix(text, "\n")
				c := readCase(t, name, text)
				said := text[strings.LastIndexByte(text, '\t')+1:]
				text = strings.Join(append(columns(f.Parse([]byte(c.message))), said), "\t") + "\n"
			}
			b.WriteString(text)
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
