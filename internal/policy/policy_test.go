// Package policy tests this repository: which packages may import what, which may run programs, what must be documented.
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
	Imports    []string // without the tests' imports
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
		if len(p.GoFiles) > 0 { // not only tests
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

// TestGate checks that the table of permissions has the methods of both faces, and no others.
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
		if len(found) < 3 {
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
		"exile/internal/allow",           // ignorecommand
		"exile/journal/export",           // journalctl, for a file format newer than ours
		"exile/cmd/exilectl",             // pager, password agent, ssh, editor
		"exile/cmd/exiled-accounts",      // sshd -T
		"exile/internal/actions/deliver", // programs of the administrator, and sendmail
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

// TestSource checks all source: each package has a sentence that says what it is, nothing runs before main, and no invalid
// address is compared with a zero value.
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

// isZeroValue reports whether e is a zero value of a type with several: a prefix of a wrong length is invalid but not the
// zero prefix, and a zero time of another location is not time.Time{}.
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

// TestPanelSource checks that the panel never turns text into elements, and has nothing that its content security policy
// forbids.
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

// maxProgram is the size limit of a program, in bytes.
const maxProgram = 12_250_000

// TestStatic builds the programs as make does, and checks that they need no loader or library, and how large they are.
func TestStatic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir+"/", "./cmd/...")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, name := range []string{"exiled", "exiled-accounts", "exiled-names", "exiled-logs", "exiled-actions", "exiled-lists", "exilectl", "fail2ban-client", "exile-lapi"} {
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

// TestSecurity lets systemd rate the sandboxes, in tenths of its points.
func TestSecurity(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED, NOTHING WAS TESTED: systemd-analyze is not here (make deps)")
	}
	for name, most := range map[string]string{
		"exiled.service": "11", "exiled-logs.service": "11", "exiled-names@.service": "12", // which has a network
		"exiled-actions.service": "4", "exiled-actions-program@.service": "4", "exiled-actions-reload@.service": "7",
		"exiled-mail-report.service":      "4",
		"exiled-actions-network@.service": "12", "exiled-lists@.service": "12", "../lapi/exile-lapi.service": "6", "exiled-actions-mail@.service": "67", // sendmail may gain rights
	} {
		unit := filepath.Join(root, "units/systemd", name)
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold="+most, unit).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
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

// ids returns the matches of the pattern's group in the files of a folder, without tests, sorted and once each.
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

// TestThreats: every line of docs/security.md is backed by tests that exist.
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
			t.Errorf("no test shows this: %s", line)
		}
		for _, n := range names {
			if !known[n[1]] {
				t.Errorf("there is no test %s, which should show: %s", n[1], line)
			}
		}
	}
	if lines < 10 {
		t.Errorf("%d lines: the form of the page has changed", lines)
	}
}
