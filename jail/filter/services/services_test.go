package services

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"exile/jail"
)

func mustParse(t *testing.T, expr string) *syntax.Regexp {
	t.Helper()
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestShipped loads every filter that ships, which tries its samples.
func TestShipped(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		s := load(t, name)
		if s.Name != name {
			t.Errorf("%s is named %s", name, s.Name)
		}
		if s.FindTime != "" {
			if _, err := time.ParseDuration(strings.Replace(s.FindTime, "d", "h", 1)); err != nil {
				t.Errorf("%s: findtime: %v", name, err)
			}
		}
	}
}

// TestMistakes: what is wrong with a file is said with its line.
func TestMistakes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		want := strings.TrimPrefix(first, "# ")
		_, err = Parse(filepath.Base(file), data)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

// TestCheck: the address of a pattern is the first or the last text that could be one.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		match, never string
		ok           bool
	}{
		{`^refused from <ADDR>$`, "", true},
		{`^refused from <ADDR>: .*`, "", true},
		{`^refused from <ADDR>`, "", true},
		{`refused from <ADDR>$`, "", false},
		{`^.*refused from <ADDR>$`, "", true},
		{`^.*refused from <ADDR>`, "", false},
		{`^.*refused from <ADDR>\b`, "", false},
		{`^<USER> refused from <ADDR>, port <PORT>$`, "", true},
		{`^<USER> refused from <ADDR>, \S+$`, "", false},
		{`^<USER> refused from <ADDR>, \w+$`, "", false}, // it can go on: x refused from 198.51.100.1, y
		{`^<USER> refused from <ADDR>, <ID>$`, "", true},
		{`^\w+ refused from <ADDR>, \w+$`, "", true}, // there is only one
		{`^\w+ refused from <ADDR>`, "", false},
		{`^(?:yes|no) <ID> \d+ from <ADDR>`, "", true},
		{`^<USER> refused from <ADDR>(?:, user .*)?$`, "", false},
		{`^(?:a|<USER>) refused from <ADDR>(?i)$`, "", true},
		{`^[^"]{0,3} <ADDR> .*`, "", false},  // ::1
		{`^[^:"]{0,7} <ADDR> .*`, "", false}, // 1.1.1.1
		{`^[0-9.]{2}[0-9.]{2}[0-9.]{2}[0-9.] <ADDR> .*`, "", false},
		{`^(?:error: )?(?:warning: )?<ADDR> .*`, "", true},
		{`^\w+(?:\.\w+)?(?:\.\w+)? <ADDR>$`, "", true}, // two dots
		{`^\w+(?:\.\w+){0,3} <ADDR> .*`, "", false},
		{`^\d+(?:\.\d+|:\d+) <ADDR> .*`, "", true},
		{`^(?i)[a-f]+::[a-f]+ <ADDR> .*`, "", false},
		{`^(?:[0-9]+\.)+ <ADDR> .*`, "", false},
		{`^(?:[g-z]+\.)+ <ADDR>$`, "", true},
		{`^<SERVER> <TIME> <ADDR>:<PORT> .*`, "", true},
		{`^user "(?P<user>[^":]*)": no, client: <ADDR>, .*`, ":", true},
		{`^user "(?P<user>[^"]*)": no, client: <ADDR>, .*`, ":", false}, // the class has a colon
		{`^user "(?P<user>[^":]*)" no, client: <ADDR>, .*`, ":", true},
		{`^user "(?P<user>[^":]*)" no in "[^:]*, client: <ADDR>, .*`, ":", true},
		{`^user "(?P<user>[^":]*)" no in ".*, client: <ADDR>, .*`, ":", false},
		{`^user "(?P<user>[^":]*)" no, client <ADDR>, .*`, ":", false}, // no colon ends it
		{`^\{"user":"<JSON>","addr":"<ADDR>","agent":"<JSON>"`, "", true},
		{`^\{"user":"(?P<user><JSON>)","addr":"<ADDR>","agent":"<JSON>"`, "", true},
		{`^\{"user":<JSON>,"addr":"<ADDR>","agent":"<JSON>"`, "", false},
		{`^(?:from <ADDR>)? .*`, "", false},
		{`^(?m)<USER> from <ADDR>$`, "", false},               // $ is the end of a line, not of the text
		{`^[0-9]+:[0-9][0-9]:[0-9][0-9] <ADDR> .*`, "", true}, // a time
		{`^[0-9a-f]+:[0-9a-f]*:[0-9a-f]+ <ADDR> .*`, "", false},
		{`^(?:[0-9a-f]{2}:){5}[0-9a-f]{2} <ADDR>$`, "", true}, // an Ethernet address
		{`^(?:[0-9a-f]{2}:){7}[0-9a-f]{2} <ADDR> .*`, "", false},
		{`^<WORDS>, <ADDR>, .*`, "", true},
		{`^<WORDS> <ADDR> .*`, "", false}, // no 192.0.2.1 x 198.51.100.1 y
		{`^tty=(?:<WORDS>|) rhost=<ADDR> user=<USER>$`, "", false},
		{`^tty=(?:<SERVER>|) rhost=<ADDR> user=<USER>$`, "", true},
		{`^<WORDS> <SERVER>; <ADDR> .*`, "", true},
		{`^(?:<SERVER>:<PORT> |)<ADDR> .*`, "", true},
		{`^(?:<SERVER> )*<ADDR> .*`, "", false},
		{`^<WORDS>,? <ADDR>, (?P<user>.*)`, "", false}, // no 192.0.2.1, 198.51.100.1, x
		{`^<WORDS>[, ]*<ADDR>, (?P<user>.*)`, "", false},
		{`^<WORDS>[;,] <ADDR>, (?P<user>.*)`, "", true},
		{`^.* from (?P<addr>\S+) .*`, "", false}, // no tag
		{`^(?P<serverx>.*?) from <ADDR> .*`, "", false},
		{`^.*? from <ADDR>(?P<port>.*)$`, "", false},
		{`^"(?P<json>.*)" from <ADDR> .*`, "", false},
		{`^.*? refused from <ADDR> <WORDS>$`, "", false}, // x refused from 198.51.100.1 y refused from 192.0.2.1 via tcp
		{`^\S+ refused from <ADDR> <WORDS>$`, "", false},
		{`^.* refused from <ADDR> <WORDS>$`, "", true},
		{`^[^:]+:refused:<ADDR>:<SERVER>$`, "", false},
		{`^\w+ refused <ADDR> \d\.\d(?:\.\d{1,3}\.\d{1,3} )*$`, "", false},
		{`^bye$`, "", true},
		{`^conn=<CONNECTION> fd=\d+ from <ADDR>$`, "", true},
		{`^conn=<CONNECTION> op=\d+ BIND dn="<USER>"`, "", true},
		{`^<CONNECTION> refused`, "", true},
		{`^<CONNECTION>$`, "", true},
		{`^<TIME> <SERVER> \[\d+\] \(<CONNECTION>\) .*`, "", true},
		{`^<TIME> <CONNECTION> .*`, "", false}, // a time has blanks
		{`^<CONNECTION>`, "", false},
		{`^<CONNECTION>\w+`, "", false},
		{`^conn<CONNECTION> .*`, "", false},
		{`^<SERVER><CONNECTION> .*`, "", false},
		{`^conn=(?:\d+=|)<CONNECTION> .*`, "", false},
		{`^conn=(?:<CONNECTION>|no) .*`, "", false},
		{`^(?P<user>\S+) conn=<CONNECTION> .*`, "", false},
		{`^(?P<user>[^= ]+) conn=<CONNECTION> .*`, "", false}, // it may go on, for all that is known
		{`^"(?P<user>[^"=]*)" conn=<CONNECTION> .*`, `"`, true},
		{`^"(?P<user>[^"]*)" conn=<CONNECTION> .*`, `"`, false}, // the user can have a =
		{`^\{"user":"<JSON>","conn":"<CONNECTION>"`, "", false},
		{`^\{"conn":"<CONNECTION>","user":"<JSON>"`, "", true},
		{`^<WORDS> conn=<CONNECTION> .*`, "", false}, // in no conn=1 refused x conn=2 y
		{`^<NAME> <ADDR>$`, "", false},
		{`^(<ADDR>$`, "", false},
	} {
		if err := check(c.match, c.never); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.match, err)
		}
	}
}

// TestCheckIsBrief: a message does not show thousands of characters of a class.
func TestCheckIsBrief(t *testing.T) {
	t.Parallel()
	if err := check(`^[\p{L}\p{N}.:]+ from <ADDR>`, ""); err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), "...") {
		t.Errorf("got %v", err)
	}
}

func loadModes(t *testing.T) *Service {
	t.Helper()
	data, err := os.ReadFile("testdata/modes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse("modes.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestModes: a pattern counts in its mode and in aggressive, and one without a mode in all.
func TestModes(t *testing.T) {
	t.Parallel()
	s := loadModes(t)
	for _, c := range []struct {
		mode, line string
		counts     bool
		kind       jail.Kind
	}{
		{"normal", "refused bob from 192.0.2.1", true, jail.Failure},
		{"ddos", "refused bob from 192.0.2.1", true, jail.Failure},
		{"normal", "gone 192.0.2.1", false, jail.Probe},
		{"extra", "gone 192.0.2.1", false, jail.Probe},
		{"ddos", "gone 192.0.2.1", true, jail.Probe},
		{"aggressive", "gone 192.0.2.1", true, jail.Probe},
		{"aggressive", "welcome bob from 192.0.2.1", false, jail.Success},
		{"aggressive", "refused monitor from 192.0.2.1", false, jail.None}, // ignored
		{"aggressive", "gone 0.0.0.0", false, jail.None},
		{"aggressive", "gone 300.1.1.1", false, jail.None},
		{"aggressive", "gone ff02::1", false, jail.None},
	} {
		if ev := s.Filter(c.mode).Parse([]byte(c.line)); ev.Counts != c.counts || ev.Kind != c.kind {
			t.Errorf("%s: %q: %+v", c.mode, c.line, ev)
		}
	}
	if ev := s.Filter("normal").Parse([]byte("welcome root from 192.0.2.1")); !ev.Brief {
		t.Error("a login whose end nobody logs is a session")
	}
	if ev := s.Filter("aggressive").Parse([]byte("gone ::ffff:192.0.2.1")); ev.Addr.String() != "192.0.2.1" {
		t.Errorf("an IPv4 address in IPv6 is %s", ev.Addr)
	}
	long := "refused " + strings.Repeat("x", maxLine) + " from 192.0.2.1"
	if ev := s.Filter("normal").Parse([]byte(long)); ev.Rule != "" {
		t.Error("a line that may be cut matches")
	}
}

// TestNames: a name is no path.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "no-such-filter", "../services/vsftpd", "vsftpd.yaml", "/etc/passwd", "-x", "sshd\n", "."} {
		if _, err := Shipped(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// load returns a filter that ships.
func load(t testing.TB, name string) *Service {
	t.Helper()
	data, err := Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(name+Suffix, data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAllocatesNothing: lines that match nothing are almost all.
func TestAllocatesNothing(t *testing.T) {
	for _, name := range Names() {
		f := load(t, name).Filter("aggressive")
		for _, line := range append(missing(t, name), strangeLines()...) {
			if f.Parse(line).Rule != "" { // in one of web-rate's, for example
				continue
			}
			if n := testing.AllocsPerRun(10, func() { f.Parse(line) }); n > 0 {
				t.Errorf("%s: %q: %v allocations", name, line, n)
			}
		}
	}
}

// strangeLines are lines of no service, with the letters and lengths that lines have.
func strangeLines() [][]byte {
	return [][]byte{
		[]byte("Started session 17 of user bob."),
		[]byte(`kernel: usb 1-1: new high-speed device number 5 using xhci_hcd and a long explanation that goes on`),
		[]byte(`192.0.2.9 - - [30/Nov/2026:15:04:05 +0000] "GET /blog/2026/11/a-page HTTP/1.1" 200 15300 "https://example.org/" "Mozilla/5.0 (X11; Linux x86_64)"`),
		[]byte(strings.Repeat("backup finished without anything to say; ", 12)),
	}
}

// BenchmarkMiss has each filter read lines that match nothing.
func BenchmarkMiss(b *testing.B) {
	for _, name := range Names() {
		f := load(b, name).Filter("aggressive")
		lines := strangeLines()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.Parse(lines[i%len(lines)])
			}
		})
	}
}

// missing returns the samples of a filter that match nothing.
func missing(t testing.TB, name string) (lines [][]byte) {
	t.Helper()
	for _, sample := range read(t, name).Samples {
		if sample.Pattern == nothing {
			lines = append(lines, []byte(sample.Line))
		}
	}
	return lines
}

// read returns the file of a filter as it stands.
func read(t testing.TB, name string) (d document) {
	t.Helper()
	data, err := Shipped(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func BenchmarkMatch(b *testing.B) {
	f := load(b, "vsftpd").Filter("normal")
	line := []byte(`Mon Nov 30 15:04:05 2026 [pid 7] [bob] FAIL LOGIN: Client "192.0.2.7"`)
	b.ReportAllocs()
	for b.Loop() {
		f.Parse(line)
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for _, name := range Names() {
			load(b, name)
		}
	}
}

// FuzzParse: any file is a filter or an error, and a filter reads any line.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/modes.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, []byte("refused bob from 192.0.2.1"))
	f.Fuzz(func(t *testing.T, file, line []byte) {
		if len(file) > 8<<10 {
			return
		}
		s, err := Parse("x.yaml", file)
		if err != nil {
			return
		}
		ev := s.Filter("aggressive").Parse(line)
		if ev.Addr.IsValid() && (ev.Addr.Zone() != "" || ev.Addr.Is4In6()) {
			t.Errorf("address %s", ev.Addr)
		}
	})
}

// TestNearest: what comes closest to a line is said with where they part.
func TestNearest(t *testing.T) {
	t.Parallel()
	s := loadModes(t)
	n := s.Nearest()
	for _, c := range []struct{ line, pattern, matched string }{
		{`2026-11-30 15:04:05 refused bob from here`, "refused", `2026-11-30 15:04:05 refused bob from `},
		{`refused bob`, "refused", "refused "},
		{`gone 192.0.2.1!`, "gone", "gone 192.0.2.1"},
		{`something else`, "", ""},
		{``, "", ""},
	} {
		if pattern, matched := n.Of([]byte(c.line)); pattern != c.pattern || c.line[:matched] != c.matched {
			t.Errorf("%q: %s up to %q", c.line, pattern, c.line[:matched])
		}
	}
}

// TestManual: the man page explains every key of a file.
func TestManual(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/man/exile.yaml.5")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), ".Sh FILTERS")
	for f := range reflect.TypeFor[document]().Fields() {
		key := f.Tag.Get("yaml")
		if !regexp.MustCompile(`(?m)^\.It Ic ([a-z]+ , )?` + key + `\b`).MatchString(section) {
			t.Errorf("exile.yaml(5) does not explain %s", key)
		}
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := fmt.Sprintf("of %d other services", len(Names())); !strings.Contains(string(readme), n) {
		t.Errorf("README.md does not say %q", n)
	}
	for name := range tags {
		if !strings.Contains(section, "<"+name+">") {
			t.Errorf("exile.yaml(5) does not explain <%s>", name)
		}
	}
}
