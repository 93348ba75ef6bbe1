package policy

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// packageFiles makes both packages in a folder of its own and returns what is in them, by file name.
func packageFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	cmd := exec.Command("make", "-s", "-C", root, "package", "VERSION=v1.2.3", "DIST="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make package: %v\n%s", err, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestPackages makes the packages twice, and has Debian's judge look at one.
func TestPackages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, again := packageFiles(t, dir), packageFiles(t, t.TempDir())
	if len(files) != 2 || len(again) != 2 {
		t.Fatalf("%d and %d packages, want a .deb and a .rpm", len(files), len(again))
	}
	for name, data := range files {
		if !bytes.Equal(data, again[name]) {
			t.Errorf("two builds of %s are not identical", name)
		}
	}
	debs, _ := filepath.Glob(filepath.Join(dir, "exile_1.2.3_*.deb")) // the pattern is well formed
	rpms, _ := filepath.Glob(filepath.Join(dir, "exile-1.2.3-1.*.rpm"))
	if len(debs) != 1 || len(rpms) != 1 {
		t.Fatalf("the packages are not named as Debian and Fedora name them: %q, %q", debs, rpms)
	}
	t.Run("lintian", func(t *testing.T) { judge(t, debs[0]) })
	t.Run("content", func(t *testing.T) { sameContent(t, debs[0], rpms[0]) })
	t.Run("notices", func(t *testing.T) { noticed(t, debs[0], rpms[0]) })
}

// judge has lintian look at a .deb: neither an error nor a warning.
func judge(t *testing.T, deb string) {
	t.Helper()
	lintian, err := exec.LookPath("lintian")
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: lintian is not here (make deps, on Debian)")
	}
	out, err := exec.Command(lintian, "--allow-root", "--fail-on", "error,warning", deb).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// sameContent finds the same files in both packages, but for Debian's own.
func sameContent(t *testing.T, deb, rpm string) {
	t.Helper()
	for _, tool := range []string{"dpkg-deb", "rpm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("SKIPPED, NOTHING WAS TESTED:", tool, "is not here (make deps)")
		}
	}
	inDeb := list(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar t | grep -v '/$'`, "sh", deb)
	inRPM := list(t, "sh", "-c", `rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$1" | sed -n 's/^-[^ ]* //p'`, "sh", rpm)
	var want []string
	for _, name := range inDeb {
		if name != "./usr/share/lintian/overrides/exile" {
			want = append(want, strings.TrimPrefix(name, "."))
		}
	}
	if len(want) < 20 {
		t.Errorf("only %d files: %q", len(want), want)
	}
	if diff := cmp.Diff(want, inRPM); diff != "" {
		t.Errorf("(-deb +rpm):\n%s", diff)
	}
}

// noticed finds what is linked into the programs of a .deb, at its version, in the .deb's copyright file, and that file among
// the licenses of the .rpm.
func noticed(t *testing.T, deb, rpm string) {
	t.Helper()
	for _, tool := range []string{"dpkg-deb", "rpm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("SKIPPED, NOTHING WAS TESTED:", tool, "is not here (make deps)")
		}
	}
	dir := t.TempDir()
	list(t, "dpkg-deb", "-x", deb, dir)
	said, err := os.ReadFile(dir + "/usr/share/doc/exile/copyright")
	if err != nil {
		t.Fatal(err)
	}
	stanzas := map[string]string{}
	for p := range strings.SplitSeq(string(said), "\n\n") {
		files, text, _ := strings.Cut(p, "\n")
		stanzas[files] = text
	}
	for _, program := range []string{"lib/exile/exiled", "lib/exile/exiled-accounts", "bin/exilectl"} {
		info, err := buildinfo.ReadFile(filepath.Join(dir, "usr", program))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range append(info.Deps, &debug.Module{Path: "std", Version: info.GoVersion}) {
			if m.Replace != nil {
				m = m.Replace
			}
			if text := stanzas["Files: "+m.Path+"/*"]; !strings.Contains(text, m.Version) {
				t.Errorf("%s is linked with %s %s, of which the copyright file says %q", program, m.Path, m.Version, text)
			}
		}
	}
	want := []string{"/usr/share/doc/exile/Apache-2.0", "/usr/share/doc/exile/copyright"}
	if diff := cmp.Diff(want, list(t, "rpm", "-qp", "--licensefiles", rpm)); diff != "" {
		t.Errorf("the license files of the .rpm (-want +got):\n%s", diff)
	}
}

func list(t *testing.T, command ...string) []string {
	t.Helper()
	out, err := exec.Command(command[0], command[1:]...).Output()
	if err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	return strings.Fields(string(out))
}
