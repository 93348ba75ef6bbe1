package filter_test

import (
	"cmp"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"exile/jail"
	"exile/jail/filter"
)

// testdata/openssh.txt holds what each release of OpenSSH can log, as its sources have it, so that a release with a new
// message is found here and not by those whom it leaves unprotected. See testdata/sshd/README.

var (
	openssh = flag.String("openssh", "", "take the messages of a release from the git repository in `DIR` into testdata/openssh.txt")
	release = flag.String("release", "", "`TAG` of the release that -openssh reads: V_10_5_P1")
)

const formatsFile = "testdata/openssh.txt"

// format is one message of the server, for printf.
type format struct {
	rule  string // that reads it; "-": it was looked at, and says nothing to us; "?": nobody has looked
	first string // release that has it,
	last  string // and the last one
	text  string
}

// TestReleases: each message of each release is read by a rule, or is known to say nothing.
func TestReleases(t *testing.T) {
	t.Parallel()
	formats, releases := readFormats(t)
	if *openssh != "" {
		formats, releases = mergeFormats(t, formats, releases)
		writeFormats(t, formats, releases)
	}
	if len(releases) < 5 || len(formats) < 300 {
		t.Fatalf("%d messages of %d releases: the file is not whole", len(formats), len(releases))
	}
	f := newSSHD(t, filter.Options{Mode: "aggressive"})
	for _, m := range formats {
		switch got := m.read(f); {
		case m.rule == "?":
			t.Errorf("OpenSSH %s to %s logs %q: rule %q. Is that right? See testdata/sshd/README", m.first, m.last, m.text, got)
		case got != m.rule:
			t.Errorf("OpenSSH %s to %s logs %q: rule %q, want %q", m.first, m.last, m.text, got, m.rule)
		}
	}
}

// fillings are what the verbs of a message may stand for.
var fillings = []string{
	"192.0.2.10", "bob", "password", "", "Failed", "from", "authenticating user bob 192.0.2.10", "authenticating user bob 192.0.2.10 port 5",
	"connection from 192.0.2.10 to 192.0.2.1", "penalty: failed authentication", "192.0.2.10/32", "PerSourcePenalties", "active",
}

var verb = regexp.MustCompile(`%[-#0 ]*[0-9]*(?:\.(?:[0-9]+|\*))?(?:hh|h|ll|l|z)?[diouxXcsp]`)

// read returns the rule that reads the message, with anything for its verbs; "-" if none does.
func (m format) read(f jail.Filter) string {
	texts := 0
	for _, v := range verb.FindAllString(m.text, -1) {
		if strings.HasSuffix(v, "s") {
			texts++
		}
	}
	for n := range pow(len(fillings), min(texts, 4)) {
		if ev := f.Parse([]byte(m.fill(n))); ev.Rule != "" {
			return ev.Rule
		}
	}
	return "-"
}

// fill returns the message with the n-th choice of fillings.
func (m format) fill(n int) string {
	return verb.ReplaceAllStringFunc(m.text, func(v string) string {
		if !strings.HasSuffix(v, "s") {
			return "5"
		}
		s := fillings[n%len(fillings)]
		n /= len(fillings)
		return s
	})
}

func pow(base, n int) int {
	p := 1
	for range n {
		p *= base
	}
	return p
}

func readFormats(t *testing.T) (formats []format, releases []string) {
	t.Helper()
	for _, line := range readAll(t, formatsFile) {
		if list, ok := strings.CutPrefix(line, "# releases "); ok {
			releases = strings.Fields(list)
		}
		if line == "" || line[0] == '#' {
			continue
		}
		c := strings.SplitN(line, "\t", 4)
		if len(c) != 4 {
			t.Fatalf("%s: %q: %d columns, want 4", formatsFile, line, len(c))
		}
		formats = append(formats, format{c[0], c[1], c[2], c[3]})
	}
	return formats, releases
}

func readAll(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(data), "\n")
}

// serverSources are the files that sshd is made of, as far as they log.
var serverSources = regexp.MustCompile(`^(sshd.*|auth[^/]*|monitor.*|packet|kex[^/]*|dispatch|session|serverloop|srclimit|groupaccess|` +
	`canohost|sshlogin|loginrec|gss-serv.*|platform.*|audit.*|uidswap|nchan|sshpty|log)\.c$`)

// mergeFormats adds the messages of a release. Of new ones nobody has looked at the rule.
func mergeFormats(t *testing.T, formats []format, releases []string) ([]format, []string) {
	t.Helper()
	version := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(*release, "V_"), "_P1"), "_", ".")
	if !slices.Contains(releases, version) {
		releases = append(releases, version)
		slices.SortFunc(releases, compareVersions)
	}
	for _, text := range extract(t, *openssh, *release) {
		i := slices.IndexFunc(formats, func(m format) bool { return m.text == text })
		if i < 0 {
			formats = append(formats, format{"?", version, version, text})
			continue
		}
		m := &formats[i]
		m.first = slices.MinFunc([]string{m.first, version}, compareVersions)
		m.last = slices.MaxFunc([]string{m.last, version}, compareVersions)
	}
	slices.SortFunc(formats, func(a, b format) int { return cmp.Compare(a.text, b.text) })
	return formats, releases
}

func compareVersions(a, b string) int {
	x, y, _ := strings.Cut(a, ".")
	v, w, _ := strings.Cut(b, ".")
	return cmp.Or(cmp.Compare(len(x), len(v)), cmp.Compare(x, v), cmp.Compare(y, w))
}

func writeFormats(t *testing.T, formats []format, releases []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# What sshd logs at LogLevel VERBOSE and above: the rule that reads it (- none, ? not looked at), the first and the last\n" +
		"# release of OpenSSH that was looked at and has it, and the message as printf takes it. See sshd/README.\n")
	b.WriteString("# releases " + strings.Join(releases, " ") + "\n")
	for _, m := range formats {
		b.WriteString(strings.Join([]string{m.rule, m.first, m.last, m.text}, "\t") + "\n")
	}
	if err := os.WriteFile(formatsFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// extract returns the messages that the sources of a release log.
func extract(t *testing.T, dir, tag string) (texts []string) {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			t.Fatalf("git %q: %v", args, err)
		}
		return string(out)
	}
	for name := range strings.FieldsSeq(git("ls-tree", "--name-only", tag)) {
		if serverSources.MatchString(filepath.Base(name)) {
			texts = append(texts, messages(git("show", tag+":"+name))...)
		}
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

var (
	// call is a call that logs for others than developers: its name, its first text, and the argument behind that.
	call = regexp.MustCompile(`\b((?:error|logit|verbose|fatal|sshfatal|logdie|sigdie|sshlogdie)(?:_f|_r|_fr)?\(\s*|` +
		`(?:packet|ssh_packet)_disconnect\((?:ssh,\s*)?|sshpkt_fatal\(\s*\w+,\s*\w+,\s*|logdie_f?r?\(\s*\w+,\s*|` +
		`do_log2(?:_f)?\([^";]{0,120}?|sshlogdirect\([^";]{0,120}?|auth_debug_add\(|auth_log_refused\()` +
		`("(?s:.)*?")\s*[,)](\s*__func__)?`)
	function = regexp.MustCompile(`(?m)^([a-z_][a-z0-9_]*)\(`)
	joint    = regexp.MustCompile(`"(\s|\\\n)*"`)
	comment  = regexp.MustCompile(`(?s)/\*.*?\*/`)
	macro    = regexp.MustCompile(`"\s*PRI?u64\s*"|"\s*[A-Z_]+\s*"`)
)

// messages returns the texts of the calls that log. The functions that call are in them where they are in the log.
func messages(source string) (texts []string) {
	source = comment.ReplaceAllString(source, "")
	calls, functions := call.FindAllStringSubmatchIndex(source, -1), function.FindAllStringSubmatch(source, -1)
	starts := function.FindAllStringIndex(source, -1)
	for _, m := range calls {
		text := strings.ReplaceAll(source[m[4]:m[5]], `\"`, "\x00")
		text = joint.ReplaceAllString(macro.ReplaceAllString(text, "%s"), "")
		text = strings.NewReplacer("\x00", `"`, `\\`, `\`, `\n`, "", `\r`, "", `\t`, " ").Replace(strings.Trim(text, `"`))
		in, _ := slices.BinarySearchFunc(starts, m[0], func(start []int, at int) int { return cmp.Compare(start[0], at) })
		if in > 0 && m[6] >= 0 {
			text = strings.Replace(text, "%s", functions[in-1][1], 1)
		} else if in > 0 && regexp.MustCompile(`_fr?\(`).MatchString(source[m[2]:m[3]]) {
			text = functions[in-1][1] + ": " + text
		}
		if text = strings.TrimRight(text, " "); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}
