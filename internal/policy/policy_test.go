// Package policy has the tests about this repository: what may import what, what may run programs, what is documented.
package policy

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

const root = "../.."

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string // without those of the tests
	GoFiles    []string
	Dir        string
}

// packages lists the packages of the repository.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles,Dir", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		if said, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v: %s", err, said.Stderr)
		}
		t.Fatal("go list:", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal("go list:", err)
		}
		if len(p.GoFiles) > 0 { // not tests alone
			all = append(all, p)
		}
	}
	if len(all) < 3 {
		t.Fatalf("go list found %d packages: is this the repository?", len(all))
	}
	return all
}

// below reports whether path is the folder or in it.
func below(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func belowAny(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return below(path, f) })
}

// mayImport is the table of docs/ARCHITECTURE.md: what of ours a folder's packages may import, beside each other. A package
// that no line names may import nothing of ours.
var mayImport = []struct {
	folder string
	ours   []string
}{
	{"exile/journal", nil},
	{"exile/jail", []string{"exile/journal"}},
	{"exile/firewall", nil},
	{"exile/internal/control", nil},
	{"exile/internal/metrics", []string{"exile/internal/control", "exile/internal/crowd"}},
	{"exile/internal/varlink", []string{"exile/internal/control", "exile/internal/crowd"}},
	{"exile/internal/crowd", nil},
	{"exile/internal/announce", []string{"exile/internal/control"}},
	{"exile/internal/config", []string{"exile/jail", "exile/firewall", "exile/journal"}},
	{"exile/internal/state", []string{"exile/jail", "exile/journal", "exile/firewall", "exile/internal/control"}},
	{"exile/internal/allow", []string{"exile/jail"}},
	{"exile/internal/efficacy", []string{"exile/jail"}},
	{"exile/internal/fail2ban", []string{"exile/internal/config"}},
	{"exile/internal/fleet", []string{"exile/internal/control"}},
	{"exile/internal/daemon", []string{
		"exile/journal", "exile/jail", "exile/firewall", "exile/internal/control", "exile/internal/config",
		"exile/internal/state", "exile/internal/metrics", "exile/internal/announce",
	}},
	{"exile/dbusapi", []string{"exile/internal/control", "exile/jail", "exile/firewall"}},
	{"exile/cmd", []string{"exile"}},
	{"exile/e2e", []string{"exile/e2e", "exile/journal"}},
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		allowed := []string{p.ImportPath}
		for _, rule := range mayImport {
			if below(p.ImportPath, rule.folder) {
				allowed = append(allowed, rule.folder)
				allowed = append(allowed, rule.ours...)
			}
		}
		for _, imported := range p.Imports {
			if below(imported, "exile") && !belowAny(imported, allowed) {
				t.Errorf("%s imports %s, which docs/ARCHITECTURE.md does not allow", p.ImportPath, imported)
			}
		}
	}
}

// TestGate: the table of who may call what has the methods of both faces, and no others.
func TestGate(t *testing.T) {
	t.Parallel()
	method := regexp.MustCompile(`(?m)^(?:\s*<method name="|method )(\w+)`)
	var faces []string
	for _, file := range []string{"units/dbus/org.exile1.Manager.xml", "units/dbus/org.exile1.Jail.xml", "internal/varlink/org.exile1.varlink"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		found := method.FindAllSubmatch(text, -1)
		if len(found) < 5 {
			t.Errorf("%s has %d methods", file, len(found))
		}
		for _, m := range found {
			faces = append(faces, string(m[1]))
		}
	}
	slices.Sort(faces)
	if diff := cmp.Diff(slices.Compact(faces), control.Actions()); diff != "" {
		t.Errorf("methods (-faces +internal/control):\n%s", diff)
	}
}

// only says which packages alone may use a dangerous or far-reaching import.
var only = map[string][]string{
	"os/exec": {
		"exile/internal/allow",      // ignorecommand
		"exile/journal/export",      // journalctl, for a file format newer than ours
		"exile/cmd/exilectl",        // pager, password agent, ssh
		"exile/cmd/exiled-accounts", // sshd -T
		"exile/e2e", "exile/firewall/firewalltest",
		"exile/dbusapi/dbustest", "exile/journal/internal/makejournal", // buses for tests
	},
	"github.com/godbus/dbus/v5":      {"exile/dbusapi", "exile/internal/daemon", "exile/internal/session", "exile/cmd"},
	"github.com/vishvananda/netlink": {"exile/firewall", "exile/e2e"},
	"github.com/google/nftables":     {"exile/firewall"},
	"github.com/mdlayher/netlink":    {"exile/firewall"},
	"github.com/vishvananda/netns":   {"exile/firewall/firewalltest", "exile/e2e"},
	"C":                              {},
	"unsafe":                         {"exile/journal", "exile/firewall", "exile/jail/filter", "exile/internal/varlink"}, // there: SO_PEERGROUPS
	"plugin":                         {},
	"net/http/pprof":                 {},
	"github.com/coreos/go-systemd/v22/sdjournal": {},
}

func TestOnly(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if users, limited := only[imported]; limited && !belowAny(p.ImportPath, users) {
				t.Errorf("%s imports %s; only %q may", p.ImportPath, imported, users)
			}
		}
	}
}

// TestSource reads all source: each package says in a sentence what it is, nothing runs before main, and nobody
// takes an invalid address for the only one.
func TestSource(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if !strings.Contains(p.Doc, ".") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s/%s has an init function", p.ImportPath, name)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if b, ok := n.(*ast.BinaryExpr); ok && (isZeroValue(b.X) || isZeroValue(b.Y)) {
					t.Errorf("%s/%s compares with a zero address, prefix or time: ask IsValid or IsZero", p.ImportPath, name)
				}
				return true
			})
		}
	}
}

// isZeroValue reports whether e is a zero value of which there are several: a prefix of a wrong length is invalid and not
// the zero prefix, and a zero time of another location is not time.Time{}.
func isZeroValue(e ast.Expr) bool {
	literal, ok := ast.Unparen(e).(*ast.CompositeLit)
	if !ok || len(literal.Elts) > 0 {
		return false
	}
	of, ok := literal.Type.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := of.X.(*ast.Ident)
	return ok && (from.Name == "netip" || from.Name == "time")
}

// TestPanelSource: the panel makes elements of text in no way, and has nothing that its content security policy forbids.
func TestPanelSource(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bstyle=|\bon[a-z]+=|<script>|https?://`)
	files, err := filepath.Glob(root + "/cockpit/exile/*.*[ls]")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files of the panel, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := forbidden.Find(data); found != nil {
			t.Errorf("%s has %q", name, found)
		}
	}
}

func TestTopLevelFolders(t *testing.T) {
	t.Parallel()
	allowed := strings.Fields("cmd journal jail firewall dbusapi units internal cockpit docs e2e " +
		"bin dist") // not in git
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("folder %s at the top: the layout is fixed, see docs/ARCHITECTURE.md", e.Name())
		}
	}
}

// maxProgram is how large a program may be, in bytes.
const maxProgram = 10_000_000

// TestStatic builds the programs as make does, and looks whether they need a loader or a library, and how large they are.
func TestStatic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir+"/", "./cmd/...")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, name := range []string{"exiled", "exiled-accounts", "exilectl"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > maxProgram {
			t.Errorf("%s has more than %d bytes, or none: %v", name, maxProgram, err)
		}
		f, err := elf.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
			t.Errorf("%s needs %q (%v)", name, libraries, err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s needs a loader", name)
			}
		}
	}
}

// TestSecurity has systemd judge the sandbox: at most 1.1 of 10 exposed.
func TestSecurity(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: systemd-analyze is not here (make deps)")
	}
	unit := filepath.Join(root, "units/systemd/exiled.service")
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=11", unit).CombinedOutput()
	if err != nil {
		t.Errorf("exiled.service: %v\n%s", err, out)
	}
}

// TestCatalog compares the message IDs in the code with the explanations that journalctl -x shows.
func TestCatalog(t *testing.T) {
	t.Parallel()
	explained := ids(t, "units/catalog", regexp.MustCompile(`(?m)^-- ([0-9a-f]{32})$`))
	sent := ids(t, "internal/announce", regexp.MustCompile(`"([0-9a-f]{32})"`))
	if diff := cmp.Diff(sent, explained); diff != "" {
		t.Errorf("message IDs sent and explained (-sent +explained):\n%s", diff)
	}
}

// ids returns what the pattern's group matches in the files of a folder, tests excluded, sorted and once each.
func ids(t *testing.T, folder string, pattern *regexp.Regexp) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range pattern.FindAllSubmatch(data, -1) {
			found = append(found, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestThreats: each line of docs/security.md is shown by tests that are there.
func TestThreats(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	known := make(map[string]bool)
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| cannot |") {
			continue
		}
		lines++
		names := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(line, -1)
		if len(names) == 0 {
			t.Errorf("no test shows that this is so: %s", line)
		}
		for _, n := range names {
			if !known[n[1]] {
				t.Errorf("there is no %s, which is to show: %s", n[1], line)
			}
		}
	}
	if lines < 10 {
		t.Errorf("%d lines: the page has another form", lines)
	}
}
