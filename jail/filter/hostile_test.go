package filter_test

import (
	"bufio"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"exile/jail/filter"
)

// template is a message that carries text of the remote, see testdata/hostile/templates.txt.
type template struct {
	how   string
	named bool
	text  string
}

var trueAddr = netip.MustParseAddr("203.0.113.77")

func readLines(t testing.TB, name string) (lines []string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		if line := scanner.Text(); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func readTemplates(t testing.TB) (templates []template) {
	t.Helper()
	for _, line := range readLines(t, "testdata/hostile/templates.txt") {
		c := strings.SplitN(line, "\t", 3)
		if len(c) != 3 {
			t.Fatalf("template %q: %d columns, want 3", line, len(c))
		}
		templates = append(templates, template{how: c[0], named: c[1] == "yes", text: c[2]})
	}
	return templates
}

func readNames(t testing.TB) (names []string) {
	t.Helper()
	for _, line := range readLines(t, "testdata/hostile/names.txt") {
		name, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("name %s: %v", line, err)
		}
		names = append(names, name)
	}
	return names
}

// log is what reaches the journal when a remote that calls itself name makes sshd log the template: the name cut as sshd cuts
// it, control bytes encoded once or twice, 500 bytes, no blanks at the end.
func (t template) log(name string) string {
	name, _, _ = strings.Cut(name, "\x00") // C strings
	login, _, _ := strings.Cut(name, ":")
	m := strings.NewReplacer("{user}", first(login, 100), "{name}", login, "{known}", first(login, 180), "{text}", name,
		"{banner}", first(name, 100), "{offer}", strings.ReplaceAll(name, "\n", "")).Replace(t.text)
	switch t.how {
	case "child":
		m = first(vis(first(vis(m), 1023)+" [preauth]"), 500)
	case "monitor":
		m = first(vis(first(m, 1023)), 500)
	}
	return strings.TrimRight(m, " \t\n\r")
}

func first(s string, n int) string { return s[:min(n, len(s))] }

// vis is vis(3) as sshd uses it.
func vis(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			b.WriteString(`\` + strconv.FormatUint(uint64(c)|1<<9, 8)[1:])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// TestNobodyIsFramed: whatever the remote calls itself, no message names another address.
func TestNobodyIsFramed(t *testing.T) {
	t.Parallel()
	f := newSSHD(t, filter.Options{Mode: "aggressive"})
	names := readNames(t)
	if len(names) < 60 {
		t.Fatalf("%d hostile names, want at least 60", len(names))
	}
	for _, tmpl := range readTemplates(t) {
		for _, name := range names {
			for _, m := range []string{tmpl.log(name), "message repeated 3 times: [ " + tmpl.log(name) + "]"} {
				ev := f.Parse([]byte(m))
				if ev.Addr.IsValid() && ev.Addr != trueAddr {
					t.Errorf("%q names %v", m, ev.Addr)
				}
				if tmpl.named && name == "root" && ev.Addr != trueAddr {
					t.Errorf("%q names %v, want %v", m, ev.Addr, trueAddr)
				}
			}
		}
	}
}

// FuzzFramed is TestNobodyIsFramed for any name.
func FuzzFramed(f *testing.F) {
	templates := readTemplates(f)
	sshd := newSSHD(f, filter.Options{Mode: "aggressive"})
	for i, name := range readNames(f) {
		f.Add(uint8(i), name)
	}
	f.Fuzz(func(t *testing.T, i uint8, name string) {
		m := templates[int(i)%len(templates)].log(name)
		if ev := sshd.Parse([]byte(m)); ev.Addr.IsValid() && ev.Addr != trueAddr {
			t.Errorf("%q names %v", m, ev.Addr)
		}
	})
}

// FuzzParse: any bytes are read without a panic, twice the same, and the address is in them.
func FuzzParse(f *testing.F) {
	sshd := newSSHD(f, filter.Options{Mode: "aggressive", Publickey: "any"})
	for _, c := range readCorpus(f, "testdata/sshd/*.txt") {
		f.Add([]byte(c.message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		ev := sshd.Parse(message)
		if again := sshd.Parse(message); string(again.User) != string(ev.User) || again.Addr != ev.Addr || again.Rule != ev.Rule {
			t.Errorf("%q: read %v, then %v", message, ev, again)
		}
		if ev.Addr.Is4In6() || ev.Addr.Zone() != "" {
			t.Errorf("%q: the address %v is not in its plain form", message, ev.Addr)
		}
		if ev.Addr.Is4() && !strings.Contains(string(message), ev.Addr.String()) && !strings.Contains(string(message), ":") {
			t.Errorf("%q: the address %v is not in it", message, ev.Addr)
		}
		if ev.Count < 0 || ev.Count > 1_000_000_000*1_000_000 || ev.Counts && ev.Count < 1 {
			t.Errorf("%q: stands for %d guesses", message, ev.Count)
		}
	})
}
