package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxOwners is how many fields the loop's struct may have. Nobody keeps more in mind.
const maxOwners = 15

// The state of the daemon's loop has owners: the types of Daemon's fields. No owner holds, or receives, the loop, its plan or
// another owner; the loop passes on what one needs from another.
func TestOwnersAreApart(t *testing.T) {
	t.Parallel()
	files := parseFolder(t, "internal/daemon")
	var owners []string
	for _, f := range structFields(files, "Daemon") {
		owners = append(owners, typeName(f))
	}
	if len(owners) < 5 || len(owners) > maxOwners {
		t.Errorf("Daemon has %d fields, want at most %d: %v", len(owners), maxOwners, owners)
	}
	forbidden := append(slices.Clone(owners), "Daemon", "Plan")
	for _, owner := range owners {
		if owner == "Plan" || owner == "Config" { // what the loop was built from
			continue
		}
		used := structFields(files, owner)
		for _, f := range methods(files, owner) {
			for _, p := range f.Type.Params.List {
				used = append(used, p.Type)
			}
		}
		for _, e := range used {
			if name := typeName(e); name != owner && slices.Contains(forbidden, name) {
				t.Errorf("%s has to do with %s", owner, name)
			}
		}
	}
}

// parseFolder parses the files of a folder, without tests.
func parseFolder(t *testing.T, folder string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// structFields are the types of the fields of a struct, one for each field.
func structFields(files []*ast.File, name string) (types []ast.Expr) {
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != name {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					types = append(types, slices.Repeat([]ast.Expr{f.Type}, max(len(f.Names), 1))...)
				}
			}
			return false
		})
	}
	return types
}

// methods are the methods of a type.
func methods(files []*ast.File, name string) (all []*ast.FuncDecl) {
	for _, file := range files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && typeName(f.Recv.List[0].Type) == name {
				all = append(all, f)
			}
		}
	}
	return all
}

// typeName is the name of a type of the package, or of a pointer to it, otherwise empty.
func typeName(e ast.Expr) string {
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
