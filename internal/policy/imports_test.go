package policy

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// place is a line of the table in docs/ARCHITECTURE.md, for one of its folders: the rule for the packages in and below it that
// are in no folder of another line.
type place struct {
	folder string
	may    []string // what they may import, besides each other: packages, or with /... all in and below a folder
}

// places reads the table.
func places(t *testing.T) (all []place) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n| folder | in one sentence | may import, of ours |\n|---|---|---|\n")
	if !found {
		t.Fatal("docs/ARCHITECTURE.md has no table of folders")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			t.Fatalf("the line has %d cells: %s", len(cells), line)
		}
		may := strings.Split(strings.TrimSpace(cells[2]), ", ")
		if may[0] == "nothing" {
			may = nil
		}
		for folder := range strings.SplitSeq(strings.TrimSpace(cells[0]), ", ") {
			all = append(all, place{folder, may})
		}
	}
	return all
}

// allows reports whether packages of the place may import the package.
func (p place) allows(imported string) bool {
	return below(imported, p.folder) || slices.ContainsFunc(p.may, func(m string) bool {
		folder, all := strings.CutSuffix(m, "/...")
		return m == imported || m == "everything" || all && below(imported, folder)
	})
}

// TestImports: the packages import what the table of docs/ARCHITECTURE.md allows, all of them are in it, and what it names is
// there.
func TestImports(t *testing.T) {
	t.Parallel()
	table, all := places(t), packages(t)
	for _, p := range all {
		name := strings.TrimPrefix(p.ImportPath, "exile/")
		var its place
		for _, line := range table {
			if below(name, line.folder) && len(line.folder) > len(its.folder) {
				its = line
			}
		}
		if its.folder == "" {
			t.Errorf("%s is in no line of the table in docs/ARCHITECTURE.md", name)
			continue
		}
		for _, imported := range p.Imports {
			if ours, is := strings.CutPrefix(imported, "exile/"); is && !its.allows(ours) {
				t.Errorf("%s imports %s, which docs/ARCHITECTURE.md does not allow (line %s)", name, ours, its.folder)
			}
		}
	}
	for _, line := range table {
		if _, err := os.Stat(filepath.Join(root, line.folder)); err != nil {
			t.Errorf("docs/ARCHITECTURE.md: %v", err)
		}
		for _, m := range line.may {
			known := m == "everything" || slices.ContainsFunc(all, func(p pkg) bool {
				folder, below := strings.CutSuffix(path.Join("exile", m), "/...")
				return p.ImportPath == folder || below && strings.HasPrefix(p.ImportPath, folder+"/")
			})
			if !known {
				t.Errorf("docs/ARCHITECTURE.md lets %s import %q, which is not there", line.folder, m)
			}
		}
	}
}

// never are imports that packages below a folder do not have, whatever others may.
var never = map[string][]string{
	"exile/jail": {"os", "net/http"}, // it is arithmetic: no I/O
}

func TestNever(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for folder, forbidden := range never {
			for _, imported := range p.Imports {
				if below(p.ImportPath, folder) && slices.Contains(forbidden, imported) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
		}
	}
}
