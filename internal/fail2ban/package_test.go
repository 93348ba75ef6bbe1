package fail2ban

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"exile/jail/filter/services"
)

// packages is where internal/tools/fail2ban.sh has put the packages of two Debians.
const packages = "/var/cache/exile/fail2ban"

func suites() []string { return []string{"bookworm", "trixie"} }

// allOn is a package with a file that turns on every jail.
type allOn struct{ fs.FS }

func (a allOn) Open(name string) (fs.File, error) {
	const local = "etc/fail2ban/jail.local"
	if name == local {
		return fstest.MapFS{local: {Data: []byte("[DEFAULT]\nenabled = true\n")}}.Open(name)
	}
	return a.FS.Open(name)
}

// movePackage moves a Debian's package with all jails enabled.
func movePackage(t *testing.T, suite string, compare bool) (*mover, *Result) {
	t.Helper()
	dir := filepath.Join(packages, suite)
	if _, err := os.Stat(filepath.Join(dir, "etc/fail2ban/jail.conf")); err != nil {
		t.Skipf("SKIPPED, NOTHING IS COMPARED WITH fail2ban: %v; run internal/tools/fail2ban.sh as root", err)
	}
	s, err := Read(allOn{os.DirFS(dir)}, "etc/fail2ban")
	if err != nil {
		t.Fatal(err)
	}
	m := newMover(s, Options{Filters: services.Names(), Compare: compare})
	r, err := m.move()
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

// Every filter and every jail of Debian's packages is accounted for; UPDATE_SCRIPTS writes the report.
func TestPackages(t *testing.T) {
	t.Parallel()
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			_, r := movePackage(t, suite, true)
			var b strings.Builder
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			for _, f := range r.Filters {
				_ = enc.Encode(f)
			}
			for _, j := range r.Jails {
				_ = enc.Encode(j)
			}
			for _, j := range r.Comparison.Jails {
				_ = enc.Encode(j)
			}
			name := filepath.Join("testdata", suite+".jsonl")
			if os.Getenv("UPDATE_SCRIPTS") != "" {
				if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// compareScript runs fail2ban-regex itself, for many filters in one process.
const compareScript = `
import sys
from fail2ban.client.fail2banregex import exec_command_line
config, *rest = sys.argv[1:]
for log, name in zip(rest[::2], rest[1::2]):
    print("\x01" + name, flush=True)
    try:
        exec_command_line(["-c", config, "--usedns", "no", "-o", "<ip> <msg>", log, name])
    except SystemExit:
        pass
    sys.stdout.flush()
`

// What a translated filter makes of a line is what fail2ban-regex of the package makes of it: for lines that are made for each pattern, and for
// lines that differ from these in one character.
func TestTranslatedLikeFail2ban(t *testing.T) {
	t.Parallel()
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			m, _ := movePackage(t, suite, false)
			compareAll(t, m, suite)
		})
	}
}

// trial is a filter with lines for it.
type trial struct {
	name  string
	t     *translation
	lines []string // the messages, of syslog lines
}

func compareAll(t *testing.T, m *mover, suite string) {
	t.Helper()
	dir, root := t.TempDir(), filepath.Join(packages, suite)
	args := []string{"-c", compareScript, filepath.Join(root, "etc/fail2ban")}
	trials := trialsOf(m)
	if len(trials) < 35 {
		t.Fatalf("only %d filters were translated", len(trials))
	}
	for _, x := range trials {
		var log strings.Builder
		for _, l := range x.lines {
			log.WriteString(x.header() + l + "\n")
		}
		file := filepath.Join(dir, x.name)
		if err := os.WriteFile(file, []byte(log.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file, x.name+x.t.from.options)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", args...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(root, "usr/lib/python3/dist-packages"), "PYTHONDONTWRITEBYTECODE=1", "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fail2ban-regex: %v\n%s", err, stderrOf(err))
	}
	answers := answersOf(string(out))
	for _, x := range trials {
		x.check(t, answers[x.name+x.t.from.options])
	}
}

func stderrOf(err error) string {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(e.Stderr)
	}
	return ""
}

// answersOf returns by filter the address that fail2ban found in each line in which it did.
func answersOf(out string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for part := range strings.SplitSeq(out, "\x01") {
		name, rest, _ := strings.Cut(part, "\n")
		found := map[string]string{}
		for l := range strings.Lines(rest) {
			ip, line, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
			if _, twice := found[line]; !twice {
				found[line] = ip
			}
		}
		all[name] = found
	}
	return all
}

// header is what a syslog daemon writes before the message.
func (x *trial) header() string {
	if x.t.service.Form != services.Syslog {
		return ""
	}
	name := "any"
	if len(x.t.service.Identifiers) > 0 {
		name = x.t.service.Identifiers[0]
	}
	return "2026-11-30T12:00:00.123456+00:00 host " + name + "[123]: "
}

func (x *trial) check(t *testing.T, theirs map[string]string) {
	t.Helper()
	f := x.t.service.Filter("normal")
	matched, missed := 0, 0
	for _, l := range x.lines {
		ours := ""
		if ev := f.Parse([]byte(l)); ev.Addr.IsValid() {
			ours = ev.Addr.String()
			matched++
		} else {
			missed++
		}
		if want := theirs[x.header()+l]; ours != want && (want != "" || !x.t.from.stamps[0].inside) {
			t.Errorf("%s: exile finds %q and fail2ban %q in %q", x.name, ours, want, x.header()+l)
		}
	}
	if matched == 0 || missed == 0 {
		t.Errorf("%s: %d lines match, %d do not: nothing was compared", x.name, matched, missed)
	}
}

// trialsOf makes lines for the filters that were translated.
func trialsOf(m *mover) (all []trial) {
	for _, tr := range m.translated {
		if tr.no != nil {
			continue
		}
		x := trial{name: tr.from.name, t: tr}
		seen := map[string]bool{}
		for _, p := range tr.from.made {
			for _, s := range strategies() {
				line := sampleOf(p.nodes, s)
				if !seen[line] && len(seen) < 100 && !year.MatchString(line) {
					x.lines = append(x.lines, line)
					x.lines = append(x.lines, nearly(line)...)
				}
				seen[line] = true
			}
		}
		all = append(all, x)
	}
	return all
}

// year finds a number that both take for the year, a part of the time, which a made line need not mean.
var year = regexp.MustCompile("^" + barTime + ` \d{4}\b`)

// nearly returns lines that differ in a character from one, but not in what a syslog daemon writes, nor in the address or what may be a part
// of it, nor in a time.
func nearly(line string) (all []string) {
	at, header := strings.Index(line, sampleAddr), strings.Index(line, "[123]: ")
	for i := max(1, header+len("[123]: ")); i < len(line); i += 1 + len(line)/12 {
		if c := line[i]; c >= '0' && c <= '9' || at >= 0 && i >= at-len("::ffff:") && i <= at+len(sampleAddr) || strings.Contains(barTime, line[i:i+1]) && i < len(barTime) {
			continue
		}
		all = append(all, line[:i]+"~"+line[i+1:], line[:i]+line[i+1:])
	}
	return append(all, line[:len(line)-1], line+"~")
}
