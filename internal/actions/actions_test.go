package actions

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"exile/internal/control"
)

// TestFiles: what a file says is taken or refused, with the line and what to do.
func TestFiles(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/files.txtar")
	if err != nil || len(archive.Files) < 30 {
		t.Fatalf("%d files, %v", len(archive.Files), err)
	}
	for _, f := range archive.Files {
		var want []string
		for line := range strings.Lines(string(f.Data)) {
			text, is := strings.CutPrefix(line, "# ")
			if !is {
				break
			}
			want = append(want, strings.TrimSpace(text))
		}
		a, err := Parse("actions.d/"+f.Name, f.Data)
		got := []string{"fine"}
		if err != nil {
			got = strings.Split(strings.ReplaceAll(err.Error(), "actions.d/"+f.Name+":", ""), "\n")
		} else if a.Kind == "" || a.Name != strings.TrimSuffix(f.Name, Suffix) {
			t.Errorf("%s is %q of kind %q", f.Name, a.Name, a.Kind)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
	}
}

// TestExamples: those that ship are right.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../units/examples/actions/*")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err == nil {
			_, err = Parse(name, data)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// TestLoad: a file hides those of its name in later folders, an empty one only hides, and a mistake in one leaves the others in force.
func TestLoad(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/exile/actions.d/a.yaml": "program: /bin/own\n", "usr/lib/exile/actions.d/a.yaml": "program: /bin/packaged\n",
		"etc/exile/actions.d/off.yaml": "", "usr/lib/exile/actions.d/off.yaml": "program: /bin/off\n",
		"etc/exile/actions.d/no.yaml": "enabled: no\nprogram: /bin/no\n", "etc/exile/actions.d/broken.yaml": "program: x\n",
		"run/exile/actions.d/z.yaml": "mail: {to: root}\n", "etc/exile/actions.d/.hidden.yaml": "x", "etc/exile/actions.d/README": "x",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, broken, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Command[0] != "/bin/own" || all[1].Name != "z" || len(broken) != 1 || broken[0].Name != "broken" {
		t.Errorf("%+v, broken %v", all, broken)
	}
	for name, want := range map[string]string{"z": "", "no": "not enabled", "off": "not enabled", "gone": "no action", "broken": "broken.yaml:1"} {
		a, err := LoadOne(root, name)
		if want == "" && (err != nil || a.Name != name) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

// TestWants: which events an action is told of.
func TestWants(t *testing.T) {
	t.Parallel()
	ban := func(kind control.EventKind, prefix, origin string, offence int, simulated bool) *control.Event {
		return &control.Event{Kind: kind, Ban: control.Ban{Jail: "sshd", Prefix: netip.MustParsePrefix(prefix), Origin: control.Origin(origin), Offence: offence, Simulated: simulated}}
	}
	events := map[string]*control.Event{
		"first": ban(control.BanNew, "8.8.8.8/32", "journal", 1, false), "again": ban(control.BanNew, "8.8.8.8/32", "journal", 3, false),
		"manual": ban(control.BanNew, "8.8.8.8/32", "manual", 1, false), "simulated": ban(control.BanNew, "8.8.8.8/32", "journal", 1, true),
		"private": ban(control.BanNew, "10.0.0.8/32", "journal", 1, false), "wide": ban(control.BanNew, "8.8.8.0/24", "journal", 1, false),
		"six": ban(control.BanNew, "2600:1:2:3::/64", "journal", 1, false), "unban": ban(control.BanRemoved, "8.8.8.8/32", "journal", 1, false),
		"sum":     {Kind: control.BansRemoved, Count: 3, Ban: control.Ban{Jail: "sshd"}},
		"spared":  ban(control.Protected, "8.8.8.8/32", "journal", 1, false),
		"doctor":  ban(control.BanNew, "203.0.113.242/32", "manual", 1, false),
		"another": {Kind: control.BanNew, Ban: control.Ban{Jail: "web", Prefix: netip.MustParsePrefix("8.8.8.8/32"), Origin: "journal"}},
	}
	for text, want := range map[string]string{
		"program: /bin/x":                                                    "again another first manual private six wide",
		"program: /bin/x\non: [first]":                                       "another first manual private six wide",
		"program: /bin/x\non: [again, unban]":                                "again sum unban",
		"mail: {to: root}\non: [report]":                                     "",
		"mail: {to: root}\non: [report, again]":                              "again",
		"program: /bin/x\njails: [web]":                                      "another",
		"program: /bin/x\nsimulated: yes\non: first":                         "another first manual private simulated six wide",
		"deny_list: {format: nginx}":                                         "again another first manual private six sum unban wide",
		"abuseipdb: {key: k, categories: {default: 18}}":                     "again another first six",
		"x-arf: {to: abuse@example.org, from: a@example.org}\njails: [sshd]": "again first six",
		"x-arf: {to: abuse@example.org, from: a@example.org}\non: [again]":   "again",
		"webhook: {url: https://example.org/}\non: [ban, ban]":               "again another first manual private six wide",
	} {
		a, err := Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for name := range strings.FieldsSeq("again another doctor first manual private simulated six spared sum unban wide") {
			if a.Wants(events[name]) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q wants %q, want %s", text, got, want)
		}
	}
}

// TestRender: every format of list, with and without addresses.
func TestRender(t *testing.T) {
	t.Parallel()
	banned := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	for format, want := range map[Format]string{
		Plain: "192.0.2.1\n198.51.100.0/24\n2001:db8::/64\n", HAProxy: "192.0.2.1\n198.51.100.0/24\n2001:db8::/64\n",
		Nginx:      "deny 192.0.2.1;\ndeny 198.51.100.0/24;\ndeny 2001:db8::/64;\n",
		NginxGeo:   "192.0.2.1 1;\n198.51.100.0/24 1;\n2001:db8::/64 1;\n",
		HAProxyMap: "192.0.2.1 1\n198.51.100.0/24 1\n2001:db8::/64 1\n",
		Apache:     "Require not ip 192.0.2.1\nRequire not ip 198.51.100.0/24\nRequire not ip 2001:db8::/64\n",
		Caddy:      "@exile client_ip 192.0.2.1 198.51.100.0/24 2001:db8::/64\nabort @exile\n",
	} {
		if _, got, _ := strings.Cut(string(format.Render(banned)), "\n"); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
		if _, got, _ := strings.Cut(string(format.Render(nil)), "\n"); got != "" {
			t.Errorf("%s of nobody: %q", format, got)
		}
	}
}

// TestEmptyLists: the list of an action that is gone bans nobody any more; the others stay.
func TestEmptyLists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ListDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kept", "gone", "kept.list"} {
		if err := WriteFile(ListPath(dir, name), Nginx.Render([]netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range [][]string{{ListPath(dir, "gone"), ListPath(dir, "kept.list")}, nil} {
		emptied, err := EmptyLists(dir, []string{"kept", "other"})
		if diff := cmp.Diff(want, emptied); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	for name, bans := range map[string]bool{"kept": true, "gone": false, "kept.list": false} {
		if data, err := os.ReadFile(ListPath(dir, name)); err != nil || strings.Contains(string(data), "192.0.2.1") != bans || !strings.HasPrefix(string(data), "#") {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if files, err := os.ReadDir(filepath.Join(dir, ListDir)); err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}
}

// TestText: what happened, in words and as variables.
func TestText(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := NewEvent("id", "host", control.Event{Kind: control.BanNew, Time: since, Ban: control.Ban{
		Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Since: since, Until: since.Add(90 * time.Minute), Failures: 5, Offence: 2, Origin: control.OriginJournal,
		Reason: "user \"x\u202e\x1b[2J\"",
	}})
	if got, want := e.Text(), `192.0.2.1 banned in jail sshd for 1h 30min after 5 attempts, for the 2nd time: user "x\u202e\x1b[2J".`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	want := "EXILE_EVENT=ban EXILE_ID=id EXILE_HOST=host EXILE_JAIL=sshd EXILE_TIME=2026-01-02T03:04:05Z EXILE_RULE=user \"x\\u202e\\x1b[2J\" " +
		"EXILE_ADDRESS=192.0.2.1 EXILE_SINCE=2026-01-02T03:04:05Z EXILE_FAILURES=5 EXILE_OFFENCE=2 EXILE_ORIGIN=journal " +
		"EXILE_UNTIL=2026-01-02T04:34:05Z EXILE_DURATION_USEC=5400000000"
	if got := strings.Join(e.Environment(), " "); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// FuzzClean: whatever an attacker chose, what is left is printable, does not change the direction of writing, and is short.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"plain", "a\nb\r\x00", "\u202eabc\u2066", "\xff\xfe", strings.Repeat("\u202e", 5000), "\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if bad := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }); bad >= 0 {
			t.Errorf("%q has %q at %d", got, got[bad:], bad)
		}
		if len(got) > maxText+20 {
			t.Errorf("%d bytes", len(got))
		}
		if Clean(got) != got && len(got) <= maxText {
			t.Errorf("%q changes again to %q", got, Clean(got))
		}
	})
}

// FuzzParseAction: no file makes the parser panic, and what it takes is complete.
func FuzzParseAction(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/files.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Parse("fuzz.yaml", data)
		if err == nil && (a.Kind == "" || a.PerMinute < 1 || a.Attempts < 1 || a.Timeout <= 0) {
			t.Errorf("incomplete: %+v", a)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "fuzz.yaml:") {
			t.Errorf("an error without a place: %v", err)
		}
	})
}
