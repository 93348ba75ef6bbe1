package policy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checkout is a repository with only the files that the version depends on.
type checkout string

func (c checkout) sh(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = string(c)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_AUTHOR_DATE=1796035305 +0100", "GIT_COMMITTER_DATE=1796035305 +0100")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// version returns the tree's version, and checks that an archive of the tree gives the same.
func (c checkout) version(t *testing.T) string {
	t.Helper()
	said := c.sh(t, "internal/tools/version.sh")
	copied := checkout(t.TempDir())
	c.sh(t, "git archive HEAD | tar x -C "+string(copied))
	if got := copied.sh(t, "internal/tools/version.sh"); got != strings.TrimSuffix(said, ".changed") && !strings.HasSuffix(said, ".changed") {
		t.Errorf("the tree is %q, its archive %q", said, got)
	}
	return said
}

// archived is the line that git archive changes, and has changed if this is a tarball.
var archived = regexp.MustCompile(`(?m)^archived='.*'$`)

// TestVersion takes a tree through a release, with git and without. Each version sorts after the ones before.
func TestVersion(t *testing.T) {
	t.Parallel()
	c := checkout(t.TempDir())
	for _, name := range []string{".gitattributes", "internal/tools/version.sh"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		data = archived.ReplaceAll(data, []byte("archived='$$Format:%(describe:tags,match=v[0-9]*),%ct,%H$$'"))
		if err := os.MkdirAll(filepath.Dir(filepath.Join(string(c), name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(string(c), name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for _, step := range []struct{ name, script, want string }{
		{"a release that is not tagged", `printf '## [Unreleased]\n\n## [0.1.0] - 2026-11-30\n\n## [0.0.9] - 2026-11-01\n' >CHANGELOG.md
			git init -q; git add .; git commit -qm first`, `0\.1\.0~git202611301041\.[0-9a-f]{12}`},
		{"changed", `echo >>CHANGELOG.md`, `0\.1\.0~git202611301041\.[0-9a-f]{12}\.changed`},
		{"tagged", `git checkout -q CHANGELOG.md; git tag -am 0.1.0 v0.1.0`, `0\.1\.0`},
		{"changed after the tag", `echo >>CHANGELOG.md`, `0\.1\.0\+git202611301041\.[0-9a-f]{12}\.changed`},
		{"after the tag", `git commit -qam second; git branch -m other`, `0\.1\.0\+git202611301041\.[0-9a-f]{12}`},
		{"the next release, not tagged", `sed -i 's/^## .0.1/## [0.10.0] - 2026-12-24\n\n&/' CHANGELOG.md
			git commit -qam third`, `0\.10\.0~git202611301041\.[0-9a-f]{12}`},
		{"the next release", `git tag v0.10.0`, `0\.10\.0`},
	} {
		c.sh(t, step.script)
		got := c.version(t)
		if !regexp.MustCompile("^" + step.want + "$").MatchString(got) {
			t.Errorf("%s: %q", step.name, got)
		}
		all = append(all, got)
	}
	if got := c.sh(t, "rm -r .git; internal/tools/version.sh"); got != "0.10.0" {
		t.Errorf("without git: %q", got)
	}
	inOrder(t, slices.DeleteFunc(all, func(v string) bool { return strings.HasSuffix(v, ".changed") }))
}

// inOrder compares versions with dpkg and rpm.
func inOrder(t *testing.T, versions []string) {
	t.Helper()
	for i, later := range versions[1:] {
		if _, err := exec.LookPath("dpkg"); err == nil {
			if err := exec.Command("dpkg", "--compare-versions", versions[i], "lt", later).Run(); err != nil {
				t.Errorf("for dpkg %s is not before %s", versions[i], later)
			}
		}
		if _, err := exec.LookPath("rpm"); err == nil {
			out, err := exec.Command("rpm", "--eval", `%{lua: print(rpm.vercmp("`+versions[i]+`", "`+later+`"))}`).Output()
			if strings.TrimSpace(string(out)) != "-1" {
				t.Errorf("for rpm %s is not before %s: %s, %v", versions[i], later, out, err)
			}
		}
	}
}

// TestChangelog checks that the headings follow Keep a Changelog: the version is read from them.
func TestChangelog(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`(?m)^##+ .*$`)
	version := regexp.MustCompile(`^## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d$`)
	kinds := []string{"### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"}
	all := heading.FindAllString(string(text), -1)
	if len(all) < 2 || all[0] != "## [Unreleased]" {
		t.Fatalf("the headings are %q", all)
	}
	for _, h := range all[1:] {
		if !version.MatchString(h) && !slices.Contains(kinds, h) {
			t.Errorf("heading %q", h)
		}
	}
}

// TestDecisions: the decisions have headings that can be linked, in the order of their dates, each once.
func TestDecisions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/decisions.md"))
	if err != nil {
		t.Fatal(err)
	}
	if old := regexp.MustCompile(`(?m)^\*\*20.*`).Find(text); old != nil {
		t.Errorf("the title of a decision is a heading, \"## DATE: TITLE\", and not %q", old)
	}
	all := regexp.MustCompile(`(?m)^## (\d{4}-\d\d-\d\d): .*$`).FindAllStringSubmatch(string(text), -1)
	seen := make(map[string]bool)
	for i, d := range all {
		if i > 0 && d[1] < all[i-1][1] {
			t.Errorf("%q is older than the one before", d[0])
		}
		if seen[d[0]] {
			t.Errorf("%q is there twice", d[0])
		}
		seen[d[0]] = true
	}
	if len(all) < 50 {
		t.Errorf("%d decisions: the page has another form", len(all))
	}
}
