package policy

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// clone makes a repository whose last commit is this tree as it is, uncommitted changes included: a release is made of a
// commit.
func clone(t *testing.T) checkout {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: this tree is not in git:", err)
	}
	from, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	c := checkout(t.TempDir())
	c.sh(t, `git init -q
		(cd '`+from+`' && git ls-files -z --cached --others --exclude-standard --deduplicate | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh |
			tar c --null -T -) | tar x
		git add -A && git commit -qm all
		mkdir -p bin && [ ! -e '`+from+`/bin/nfpm' ] || { cp -L '`+from+`/bin/nfpm' bin/ && touch bin/nfpm; }`)
	return c
}

// release builds a release in a folder and returns its files by name.
func release(t *testing.T, tree checkout, dir string, arches []string) map[string][]byte {
	t.Helper()
	cmd := exec.Command("make", "-s", "-C", string(tree), "dist", "VERSION=1.2.3", "DIST="+dir, "ARCHES="+strings.Join(arches, " "))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make dist: %v\n%s", err, out)
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

// complete checks that the tarball holds the whole tree and knows its version.
func complete(t *testing.T, tree checkout, tarball string) {
	t.Helper()
	c := checkout(t.TempDir())
	c.sh(t, "tar x --strip-components=1 -f '"+tarball+"'")
	if diff := cmp.Diff(tree.sh(t, "git ls-files | sort"), c.sh(t, `find . -type f -o -type l | sed 's|^\./||' | sort`)); diff != "" {
		t.Errorf("(-tree +tarball):\n%s", diff)
	}
	if here, there := tree.sh(t, "internal/tools/version.sh"), c.sh(t, "internal/tools/version.sh"); here != there {
		t.Errorf("the tree is %s, the tarball %s", here, there)
	}
}

// billed checks that the bill of materials of a .deb lists the modules of its programs, each with a license.
func billed(t *testing.T, programs []string, deb, bill string) {
	t.Helper()
	dir := t.TempDir()
	list(t, "dpkg-deb", "-x", deb, dir)
	var b struct {
		Components []struct {
			Name, Version string
			Licenses      []struct{ Expression string }
		}
	}
	data, err := os.ReadFile(bill)
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		t.Fatal(err)
	}
	has := make(map[string]bool)
	for _, c := range b.Components {
		if has[c.Name+" "+c.Version] = true; len(c.Licenses) == 0 {
			t.Errorf("%s has no license", c.Name)
		}
	}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(dir, "usr", program))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{filepath.Base(program) + " 1.2.3", "std " + info.GoVersion} {
			if !has[want] {
				t.Errorf("the bill has no %s", want)
			}
		}
		for _, m := range info.Deps {
			if !has[m.Path+" "+m.Version] {
				t.Errorf("the bill has no %s %s", m.Path, m.Version)
			}
		}
	}
}

// sameOnARM runs exilectl from both architectures' packages: it must say the same about lines, a configuration and a recorded
// journal.
func sameOnARM(t *testing.T, dir string) {
	t.Helper()
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: qemu-aarch64 is not here (make deps)")
	}
	if testing.Short() {
		t.Skip("SKIPPED, NOTHING WAS TESTED: -short makes no packages for arm64")
	}
	work := checkout(t.TempDir())
	record(t, work)
	for _, arch := range []string{"amd64", "arm64"} {
		work.sh(t, "dpkg-deb --fsys-tarfile '"+dir+"/exile_1.2.3_"+arch+".deb' | tar xO ./usr/bin/exilectl >"+arch+" && chmod 755 "+arch)
	}
	for _, args := range []string{
		"--version", "match '" + abs(t, "jail/filter/testdata/sshd/10.0p2.txt") + "'", "check-config '" + abs(t, "units/config/exile.yaml") + "'", "check-config wrong.yaml",
		"history -D log", "history -D log --json=pretty",
	} {
		native, other := work.sh(t, "TZ=UTC ./amd64 "+args+" 2>&1 || echo $?"), work.sh(t, "TZ=UTC '"+qemu+"' ./arm64 "+args+" 2>&1 || echo $?")
		if native == "" {
			t.Errorf("exilectl %s says nothing", args)
		}
		if diff := cmp.Diff(native, other); diff != "" {
			t.Errorf("exilectl %s (-amd64 +arm64):\n%s", args, diff)
		}
	}
}

// record makes a journal from exilectl's own test, and a file with a mistake.
func record(t *testing.T, work checkout) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join(root, "cmd/exilectl/testdata/script/history.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if name := filepath.Base(f.Name); strings.HasSuffix(name, ".export") {
			if err := os.WriteFile(filepath.Join(string(work), name), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	work.sh(t, `echo 'jails: {sshd: {maxretyr: 4}}' >wrong.yaml
		mkdir log; for f in *.export; do /lib/systemd/systemd-journal-remote -o log/${f%.export}.journal - <$f; done`)
}

func abs(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
