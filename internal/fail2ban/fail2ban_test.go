package fail2ban

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"exile/internal/config"
	"exile/jail/filter/services"
)

// ships are the filters of the tests, whatever else ships with exile.
func ships() []string { return []string{"nginx-http-auth", "nginx-limit-req", "vsftpd", "web-rate"} }

func filesOf(a *txtar.Archive) fstest.MapFS {
	files := fstest.MapFS{}
	for _, f := range a.Files {
		if strings.Contains(f.Name, "/") {
			files[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return files
}

// Each file of testdata is a setup, and what becomes of it; UPDATE_SCRIPTS writes the latter.
func TestMove(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no setups", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := moved(t, filesOf(a), strings.Contains(string(txtar.Format(a)), "\n-- all --\n"))
			for name := range got {
				if strings.HasSuffix(name, services.Suffix) && !slices.ContainsFunc(a.Files, func(f txtar.File) bool { return f.Name == name }) {
					t.Errorf("%s is not in the archive", name)
				}
			}
			for i, f := range a.Files {
				if want, ok := got[f.Name]; ok {
					if diff := cmp.Diff(want, string(f.Data)); diff != "" && os.Getenv("UPDATE_SCRIPTS") == "" {
						t.Errorf("%s (-got +want):\n%s", f.Name, diff)
					}
					a.Files[i].Data = []byte(want)
				}
			}
			if os.Getenv("UPDATE_SCRIPTS") != "" {
				if err := os.WriteFile(name, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func mustMove(t *testing.T, files fs.FS, all bool) *Result {
	t.Helper()
	s, err := Read(files, "etc/fail2ban")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Move(s, Options{All: all, Filters: ships()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// moved returns what becomes of a setup, by the names in the archive.
func moved(t *testing.T, files fs.FS, all bool) map[string]string {
	t.Helper()
	r := mustMove(t, files, all)
	if _, err := config.ParseWith("fail2ban.yaml", []byte(r.YAML), r.Files); err != nil {
		t.Errorf("what was written does not load: %v\n%s", err, r.YAML)
	}
	var report strings.Builder
	for _, n := range r.Notes {
		fmt.Fprintf(&report, "%s: %s: %s %s", n.At, n.Kind, n.Jails, n.Text)
		if n.Advice != "" {
			fmt.Fprintf(&report, " (%s)", n.Advice)
		}
		report.WriteString("\n")
	}
	var rows strings.Builder
	enc := json.NewEncoder(&rows)
	for _, f := range r.Filters {
		_ = enc.Encode(f)
	}
	for _, j := range r.Jails {
		_ = enc.Encode(j)
	}
	out := map[string]string{"yaml": r.YAML, "report": report.String(), "json": rows.String()}
	for name, text := range r.Files {
		out[name+services.Suffix] = text
	}
	return out
}

// sectionsOf returns a file of so many jails.
func sectionsOf(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[a%d]\nenabled = true\nfilter = vsftpd\n", i)
	}
	return []byte(b.String())
}

// fan are files that each name the next one ten times.
func fan(more string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range 10 {
		files[fmt.Sprintf("etc/fail2ban/jail.d/%d.conf", i)] = &fstest.MapFile{
			Data: []byte("[INCLUDES]\nbefore =" + strings.Repeat(fmt.Sprintf(" %d.conf", i+1), 10) + "\n" + more),
		}
	}
	files["etc/fail2ban/jail.d/10.conf"] = &fstest.MapFile{}
	return files
}

// A configuration that cannot be read is an error, and says where.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	const main = "etc/fail2ban/jail.local"
	many := fstest.MapFS{}
	for i := range maxFiles + 1 {
		many[fmt.Sprintf("etc/fail2ban/jail.d/%d.conf", i)] = &fstest.MapFile{}
	}
	for name, test := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"none":      {fstest.MapFS{"etc/fail2ban/jail.txt": {}}, "has no jail.conf and no jail.local"},
		"template":  {fstest.MapFS{main: {Data: []byte("[sshd]\nport = {{ port }}\n")}}, "jail.local:2 is a template"},
		"statement": {fstest.MapFS{main: {Data: []byte("# x\n{% if a %}\n")}}, "jail.local:2 is a template"},
		"large":     {fstest.MapFS{main: {Data: make([]byte, maxFile+1)}}, "larger than 1048576 bytes"},
		"pipe":      {fstest.MapFS{main: {Mode: fs.ModeNamedPipe}}, "not a regular file"},
		"many":      {many, "more than 512 files"},
		"fan":       {fan(""), "the files name others more than 2048 times"},
		"bulk":      {fan(strings.Repeat("# it is long\n", 1<<14)), "once too often: these are more than 33554432 bytes"},
		"names": {
			fstest.MapFS{main: {Data: []byte("[INCLUDES]\nbefore =" + strings.Repeat(" x", maxNamed+1))}},
			"jail.local:2: the files name others more than 2048 times",
		},
		"sections": {fstest.MapFS{main: {Data: sectionsOf(maxSections + 1)}}, "more than 4000 sections"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Read(test.files, "etc/fail2ban"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Values are those that fail2ban's own reader makes of such files.
func TestRead(t *testing.T) {
	t.Parallel()
	s, err := Read(fstest.MapFS{
		"f/jail.conf": {Data: []byte("\uFEFF[DEFAULT]\r\nA = 1 ; c\r\nb: 2;x\r\n\tmore\r\n\r\n  ; c\r\n  yet = 5 ; d\r\n# c\r\nc=%(A)s%%\r\n" +
			"[s]\r\nx = [y]\r\n   [z]\r\n\r\n\r\ny = \r\n\r\nz = %(known/z)s|%(default/b)s\r\nempty\t=\r\n  \tk = v\r\nw = a : b = c\r\n")},
		"f/jail.d/b.conf": {Data: []byte("[s]\nz = first\n[t]\nq = %(__name__)s %(s/w)s\n")},
		"f/jail.d/a.conf": {Data: []byte("[s]\nz = zeroth\n")},
		"f/jail.local":    {Data: []byte("[INCLUDES]\nafter=b.inc\n[s]\nz = %(known/z)s!\n")},
		"f/b.inc":         {Data: []byte("[s]\nx = %(known/x)s inc\n")},
	}, "f")
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"s.a": "1", "s.b": "2;x\nmore\n\nyet = 5", "t.c": "1%", "s.x": "[y]\n[z] inc", "s.y": "", "s.z": "first!",
		"s.empty": "\nk = v", "s.w": "a : b = c", "t.q": "t a : b = c",
	} {
		name, key, _ := strings.Cut(at, ".")
		j := source{setup: s, name: name, used: map[string]bool{}}
		if v, ok, err := j.get(key); !ok || err != nil || v.text != want {
			t.Errorf("%s: got %q, %v, want %q", at, v.text, err, want)
		}
	}
	j := source{setup: s, name: "s", used: map[string]bool{}}
	if v, _, _ := j.get("w"); v.at != (Place{"/f/jail.conf", 20}) {
		t.Errorf("w is in %v", v.at)
	}
}

// References are followed as far as Python does, and no bomb is.
func TestInterpolation(t *testing.T) {
	t.Parallel()
	bomb := "a0 = " + strings.Repeat("x", 100) + "\n"
	deep := "d0 = 7\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d = %s\n", i+1, strings.Repeat(fmt.Sprintf("%%(a%d)s", i), 9))
		deep += fmt.Sprintf("d%d = %%(d%d)s\n", i+1, i)
	}
	s, err := Read(fstest.MapFS{"f/jail.conf": {Data: []byte("[DEFAULT]\n" + bomb + deep +
		"[j]\nself = %(self)s\nname = %(__name__)s 50%% %(fail2ban_confpath)s\nlone = 5%\nnone = %(nothing)s\n")}}, "f")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"d9": "7", "d12": "too many", "a9": "too many", "self": "too many", "name": "j 50% /f", "lone": `has a "%"`, "none": `no "nothing"`,
	} {
		j := source{setup: s, name: "j", used: map[string]bool{}}
		v, ok, err := j.get(key)
		got := v.text
		if err != nil {
			got = err.Error()
		}
		if !ok || !strings.Contains(got, want) || len(got) > maxValue {
			t.Errorf("%s: %.100q, want %q", key, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"600": 600 * time.Second, "10m": 10 * time.Minute, "1h 30m": 90 * time.Minute, "1d12h": 36 * time.Hour, "1.5": time.Second, "2mm": 2 * time.Minute,
		"1y-6mo": (365*day + 6*time.Hour) / 2, "1w + 1d": 8 * day, "1h30": time.Hour + 30*time.Second, "1mo": (365*day + 6*time.Hour) / 12, "4wee": 28 * day, "1yea": 365*day + 6*time.Hour,
		"9999999999": longest, "1e300": longest, "99999999999999999999d": longest, "200y": longest, "90y+90y+90y+90y": longest,
		"300y-1d":            longest - day,
		"1y-99y-99y-99y-99y": -1, "1+99999999999y": longest, "2*60": -1, "x": -1, "": -1, "1d-2d": -1, "1-": -1, "nan": -1, "-x": -1,
	} {
		got, forever, err := parseTime(text)
		if (err != nil) != (want < 0) || err == nil && got != want || forever {
			t.Errorf("%q: %v, %v, %v", text, got, forever, err)
		}
	}
	if _, forever, err := parseTime("-1"); !forever || err != nil {
		t.Error("-1 is not for ever")
	}
}

func TestParseCalls(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                    "",
		"a":                                   "a map[]",
		"a, b\nc":                             "a map[] b map[] c map[]",
		`a[x=1, y="2,3]", z='4'] b[]`:         "a map[x:1 y:2,3] z:4] b map[]",
		`a[type=allports][port="x"]`:          "a map[port:x type:allports]",
		"a[x=1":                               "a map[x:1]",
		"[x=1] ]] b":                          "b map[]",
		`iptables[name=SSH, port = "22, 80"]`: "iptables map[name:SSH port:22, 80]",
	} {
		var got []string
		for _, c := range parseCalls(text) {
			got = append(got, fmt.Sprintf("%s %v", c.name, c.options))
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// Whatever the files hold, what is written loads, and every enabled jail is accounted for.
func FuzzMove(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if strings.HasSuffix(file.Name, "/jail.local") {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read(fstest.MapFS{"f/jail.local": {Data: []byte(text)}}, "f")
		if err != nil {
			return
		}
		r, err := Move(s, Options{All: true, Filters: ships(), Compare: true})
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]bool{}
		for _, n := range r.Notes {
			for _, j := range n.Jails {
				said[j] = said[j] || n.Kind != Changed
			}
		}
		for _, j := range r.Jails {
			if !said[j.Name] && len(r.Notes) <= maxNotes {
				t.Errorf("the report does not say what became of %q", j.Name)
			}
		}
	})
}

// Whatever a filter holds, what it becomes loads, or it is refused.
func FuzzTranslate(f *testing.F) {
	a, err := txtar.ParseFile("testdata/filters.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range a.Files {
		if strings.HasPrefix(file.Name, "etc/fail2ban/filter.d/") {
			f.Add(string(file.Data))
		}
	}
	f.Add("[Definition]\nprefregex = ^<F-MLFID>\\d+</F-MLFID> <F-CONTENT>a.*</F-CONTENT>$\nfailregex = ^a (?i:b)<SUBNET>\\s$\n  <F-ID>x<IP4></F-ID>\ndatepattern = ^[^:]+: ({DATE})\n  %%d{EPOCH}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read(fstest.MapFS{
			"f/jail.local":           {Data: []byte("[x]\nenabled = true\nlogpath = /var/log/x\n[y]\nenabled = true\nfilter = x[a=b]\nbackend = systemd\n")},
			"f/filter.d/x.conf":      {Data: []byte(text)},
			"f/filter.d/common.conf": {Data: []byte("[DEFAULT]\n__prefix_line = x\n_daemon = y\n")},
		}, "f")
		if err != nil {
			return
		}
		r, err := Move(s, Options{Filters: ships()})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range r.Jails {
			if j.Action == Mapped || j.Action == Refused && strings.Contains(j.Reason, "does not load") {
				t.Errorf("%s: %s, %s", j.Name, j.Action, j.Reason)
			}
		}
	})
}
