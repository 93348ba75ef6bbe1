package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWired: each name in the Makefile's pattern of tests for a foreign machine names a test in the packages that run there. A test that is
// renamed would drop out silently.
func TestWired(t *testing.T) {
	t.Parallel()
	names := testsOf(t, strings.Fields(variable(t, "WIRE")))
	wired := alternatives(variable(t, "WIRED"))
	if len(wired) < 10 || len(names) < len(wired) {
		t.Fatalf("found %d names of tests in the Makefile, and %d tests: is this the repository?", len(wired), len(names))
	}
	for _, one := range wired {
		if !regexp.MustCompile(`(?m)^` + one).MatchString(strings.Join(names, "\n")) {
			t.Errorf("WIRED in the Makefile has %s, and no test in WIRE is named so", one)
		}
	}
}

func TestAlternatives(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"Example":                        "Example",
		"Example|Fuzz(Read|Parse)|TestX": "Example FuzzRead FuzzParse TestX",
		"Test(A|B(C|D)|E)F":              "TestAF TestBCF TestBDF TestEF",
	} {
		if got := strings.Join(alternatives(pattern), " "); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

// variable returns the value of a variable in the Makefile.
func variable(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.ReplaceAll(string(text), "\\\n", " ")
	found := regexp.MustCompile(`(?m)^` + name + ` := (.*)$`).FindStringSubmatch(lines)
	if found == nil {
		t.Fatalf("the Makefile does not have %s", name)
	}
	return found[1]
}

// group matches the innermost groups of a pattern.
var group = regexp.MustCompile(`\(([^()]*)\)`)

// alternatives returns the patterns that are joined by | in one, also within groups.
func alternatives(pattern string) (all []string) {
	at := group.FindStringSubmatchIndex(pattern)
	if at == nil {
		return strings.Split(pattern, "|")
	}
	before, after := strings.LastIndex(pattern[:at[0]], "|")+1, strings.IndexAny(pattern[at[1]:]+"|", "|)")+at[1]
	if open := strings.LastIndex(pattern[:at[0]], "(") + 1; open > before {
		before = open
	}
	var each []string
	for one := range strings.SplitSeq(pattern[at[2]:at[3]], "|") {
		each = append(each, pattern[before:at[0]]+one+pattern[at[1]:after])
	}
	return alternatives(pattern[:before] + strings.Join(each, "|") + pattern[after:])
}

// testsOf returns the names of the tests, fuzz targets and examples in packages, written as for go test.
func testsOf(t *testing.T, patterns []string) (names []string) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
	for _, p := range packages(t) {
		if !listed(p.ImportPath, patterns) {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range function.FindAllStringSubmatch(string(text), -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

// listed reports whether go test takes the package for one of the patterns.
func listed(path string, patterns []string) bool {
	for _, pattern := range patterns {
		folder, all := strings.CutSuffix("exile/"+strings.TrimPrefix(pattern, "./"), "/...")
		if path == folder || all && below(path, folder) {
			return true
		}
	}
	return false
}
