package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// listed is what go list says about a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// product is a package of exile that is linked into a program.
type product struct {
	listed
	fset  *token.FileSet
	files []*ast.File // as GoFiles
	pkg   *types.Package
	used  map[*ast.Ident]types.Object
}

// load reads the output of go list -export -deps -json, and the sources of exile's packages in it.
func load(list io.Reader) (all []*product, err error) {
	exports := make(map[string]string)
	var ours []listed
	for d := json.NewDecoder(list); ; {
		var l listed
		if err := d.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		exports[l.ImportPath] = l.Export
		if strings.HasPrefix(l.ImportPath, "exile/") {
			ours = append(ours, l)
		}
	}
	if len(ours) == 0 {
		return nil, errors.New("go list lists nothing of exile")
	}
	fset := token.NewFileSet()
	from := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, l := range ours {
		p := &product{listed: l, fset: fset}
		if err := p.check(from); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// check reads and type-checks the package.
func (p *product) check(from types.Importer) error {
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(p.fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		p.files = append(p.files, f)
	}
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	c := types.Config{Importer: from}
	pkg, err := c.Check(p.ImportPath, p.fset, p.files, &info)
	if err != nil {
		return err
	}
	p.pkg, p.used = pkg, info.Uses
	return nil
}

// uses returns which file uses which, by name.
func (p *product) uses() graph {
	g := make(graph)
	for _, name := range p.GoFiles {
		g[name] = make(map[string]bool)
	}
	for id, o := range p.used {
		if o.Pkg() != p.pkg {
			continue
		}
		if user, used := p.file(id.Pos()), p.file(o.Pos()); user != used {
			g[user][used] = true
		}
	}
	return g
}

func (p *product) file(at token.Pos) string { return filepath.Base(p.fset.File(at).Name()) }
