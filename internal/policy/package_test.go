package policy

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPackages builds a release twice and inspects it: lintian checks a package, and another architecture runs the programs.
func TestPackages(t *testing.T) {
	t.Parallel()
	arches := []string{"amd64", "arm64"}
	if testing.Short() {
		arches = []string{runtime.GOARCH}
	}
	tree := clone(t)
	dir := t.TempDir()
	files, again := release(t, tree, dir, arches), release(t, tree, t.TempDir(), arches)
	if want := 2 + 3*len(arches)*(1+len(companions)); len(files) != want || len(again) != want {
		t.Fatalf("%d and %d files, want a tarball, sums, and for %q and each package a .deb, an .rpm and a bill of materials", len(files), len(again), arches)
	}
	for name, data := range files {
		if !bytes.Equal(data, again[name]) {
			t.Errorf("two builds of %s are not identical", name)
		}
	}
	list(t, "sh", "-c", `cd "$1" && sha256sum --quiet --strict -c SHA256SUMS && [ $(wc -l <SHA256SUMS) = $(ls | grep -vc SHA) ]`, "sh", dir)
	deb, rpm := built(dir, "exile")
	t.Run("lintian", func(t *testing.T) { judge(t, deb) })
	t.Run("content", func(t *testing.T) { sameContent(t, "exile", deb, rpm, 20) })
	t.Run("once", func(t *testing.T) { once(t, deb) })
	t.Run("version", func(t *testing.T) { sameVersion(t, deb, rpm) })
	t.Run("notices", func(t *testing.T) { noticed(t, "exile", programs, deb, rpm) })
	t.Run("bill", func(t *testing.T) { billed(t, programs, deb, strings.TrimSuffix(deb, ".deb")+".cdx.json") })
	t.Run("source", func(t *testing.T) { complete(t, tree, filepath.Join(dir, "exile-1.2.3.tar.gz")) })
	t.Run("arm64", func(t *testing.T) { sameOnARM(t, dir) })
	for name, programs := range companions {
		deb, rpm := built(dir, name)
		t.Run(name, func(t *testing.T) {
			judge(t, deb)
			sameContent(t, name, deb, rpm, 3)
			noticed(t, name, programs, deb, rpm)
			billed(t, programs, deb, strings.TrimSuffix(deb, ".deb")+".cdx.json")
		})
	}
}

// programs are those of exile's own package, below /usr.
var programs = []string{"lib/exile/exiled", "lib/exile/exiled-accounts", "lib/exile/exiled-names", "lib/exile/exiled-logs", "lib/exile/exiled-actions", "lib/exile/exiled-lists", "bin/exilectl"}

// companions are the packages beside it, and their programs.
var companions = map[string][]string{"exile-fail2ban-compat": {"bin/fail2ban-client"}, "exile-lapi": {"bin/exile-lapi"}}

// built returns the files of a package in a release.
func built(dir, name string) (deb, rpm string) {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	return filepath.Join(dir, name+"_1.2.3_"+runtime.GOARCH+".deb"), filepath.Join(dir, name+"-1.2.3-1."+arch+".rpm")
}

// judge runs lintian on a .deb: it must report neither errors nor warnings.
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

// sameContent checks that both packages hold the same files, except for Debian's own, and at least that number.
func sameContent(t *testing.T, name, deb, rpm string, least int) {
	t.Helper()
	for _, tool := range []string{"dpkg-deb", "rpm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("SKIPPED, NOTHING WAS TESTED:", tool, "is not here (make deps)")
		}
	}
	inDeb := list(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar t | grep -v '/$'`, "sh", deb)
	inRPM := list(t, "sh", "-c", `rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$1" | sed -n 's/^-[^ ]* //p'`, "sh", rpm)
	var want []string
	for _, file := range inDeb {
		if file != "./usr/share/lintian/overrides/"+name {
			want = append(want, strings.Replace(strings.TrimPrefix(file, "."), "/zsh/vendor-completions/", "/zsh/site-functions/", 1))
		}
	}
	if len(want) < least {
		t.Errorf("only %d files: %q", len(want), want)
	}
	if diff := cmp.Diff(want, inRPM); diff != "" {
		t.Errorf("(-deb +rpm):\n%s", diff)
	}
}

// sameVersion checks that both packages and their programs state the same version.
func sameVersion(t *testing.T, deb, rpm string) {
	t.Helper()
	for _, tool := range []string{"dpkg-deb", "rpm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("SKIPPED, NOTHING WAS TESTED:", tool, "is not here (make deps)")
		}
	}
	dir := t.TempDir()
	list(t, "dpkg-deb", "-x", deb, dir)
	for _, said := range []struct {
		want    string
		command []string
	}{
		{"1.2.3", []string{"dpkg-deb", "-f", deb, "Version"}},
		{"1.2.3 1", []string{"rpm", "-qp", "--queryformat", "%{VERSION} %{RELEASE}", rpm}},
		{"exile 1.2.3", []string{dir + "/usr/bin/exilectl", "--version"}},
		{"exile 1.2.3", []string{dir + "/usr/lib/exile/exiled", "--version"}},
	} {
		if got := strings.Join(list(t, said.command...), " "); got != said.want {
			t.Errorf("%q says %q, want %q", said.command, got, said.want)
		}
	}
}

// once checks that a .deb has no name and no content twice, and that everything people look for is in its place.
func once(t *testing.T, deb string) {
	t.Helper()
	dir := t.TempDir()
	list(t, "dpkg-deb", "-x", deb, dir)
	names := list(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar t | grep -v '/$' | sort`, "sh", deb)
	if twice := len(names) - len(slices.Compact(slices.Clone(names))); twice > 0 {
		t.Errorf("%d names are twice in %q", twice, names)
	}
	if same := list(t, "sh", "-c", `cd "$1" && find . -type f -exec sha256sum {} + | sort | uniq -w 64 -D`, "sh", dir); len(same) > 0 {
		t.Errorf("these are the same: %q", same)
	}
	for _, want := range []string{
		"./usr/share/zsh/vendor-completions/_exilectl", "./usr/share/man/man8/exiled.8.gz", "./usr/share/man/man7/exile.7.gz",
		"./usr/share/bash-completion/completions/exilectl", "./usr/share/fish/vendor_completions.d/exilectl.fish",
		"./usr/share/doc/exile/README.md", "./usr/share/doc/exile/examples/auth-log.conf", "./usr/share/exile/exile.schema.json",
		"./usr/share/doc/exile/monitoring/alerts.yaml", "./usr/share/doc/exile/monitoring/grafana.json",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("the .deb has no %s", want)
		}
	}
}

// TestUninstall: make uninstall removes everything that make install put below DESTDIR, except what belongs to the
// administrator.
func TestUninstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, verb := range []string{"install", "uninstall"} {
		cmd := exec.Command("make", "-s", "-C", root, verb, "BIN="+t.TempDir(), "DESTDIR="+dir, "PREFIX=/usr/local")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v\n%s", verb, err, out)
		}
	}
	left := list(t, "sh", "-c", `cd "$1" && find . ! -type d -o -name '*exile*'`, "sh", dir)
	if diff := cmp.Diff([]string{"./etc/exile"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// noticed checks that the copyright file of a .deb lists everything linked into its programs, with its version, and that the
// .rpm marks that file as a license.
func noticed(t *testing.T, name string, programs []string, deb, rpm string) {
	t.Helper()
	for _, tool := range []string{"dpkg-deb", "rpm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("SKIPPED, NOTHING WAS TESTED:", tool, "is not here (make deps)")
		}
	}
	dir := t.TempDir()
	list(t, "dpkg-deb", "-x", deb, dir)
	said, err := os.ReadFile(filepath.Join(dir, "usr/share/doc", name, "copyright"))
	if err != nil {
		t.Fatal(err)
	}
	stanzas := map[string]string{}
	for p := range strings.SplitSeq(string(said), "\n\n") {
		files, text, _ := strings.Cut(p, "\n")
		stanzas[files] = text
	}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(dir, "usr", program))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range append(info.Deps, &debug.Module{Path: "std", Version: info.GoVersion}) {
			if m.Replace != nil {
				m = m.Replace
			}
			if text := stanzas["Files: "+m.Path+"/*"]; !strings.Contains(text, m.Version) {
				t.Errorf("%s is linked with %s %s, but the copyright file says %q", program, m.Path, m.Version, text)
			}
		}
	}
	want := []string{"/usr/share/doc/" + name + "/Apache-2.0", "/usr/share/doc/" + name + "/copyright"}
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
