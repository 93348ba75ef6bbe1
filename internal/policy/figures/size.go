package main

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

// size is what is counted in a package.
type size struct {
	files, lines, functions, exported, documented int

	longest int    // lines of the longest function, with its first and last
	where   string // that function
}

func (s *size) add(o size) {
	s.files += o.files
	s.lines += o.lines
	s.functions += o.functions
	s.exported += o.exported
	s.documented += o.documented
	if o.longest > s.longest {
		s.longest, s.where = o.longest, o.where
	}
}

func (p *product) size() size {
	s := size{files: len(p.files)}
	for i, f := range p.files {
		s.lines += lines(filepath.Join(p.Dir, p.GoFiles[i]))
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				s.functions++
				n := p.fset.Position(d.End()).Line - p.fset.Position(d.Pos()).Line + 1
				s.add(size{longest: n, where: fmt.Sprintf("%s in %s/%s", d.Name.Name, p.ImportPath, p.GoFiles[i])})
				if d.Recv == nil || ast.IsExported(receiver(d)) {
					s.name(d.Doc != nil, d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					s.spec(d, spec)
				}
			}
		}
	}
	return s
}

// spec counts the names of a type, constants or variables. A group's comment documents its members.
func (s *size) spec(d *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		s.name(d.Doc != nil || spec.Doc != nil || spec.Comment != nil, spec.Name)
	case *ast.ValueSpec:
		s.name(d.Doc != nil || spec.Doc != nil || spec.Comment != nil, spec.Names...)
	}
}

func (s *size) name(documented bool, names ...*ast.Ident) {
	for _, n := range names {
		if !n.IsExported() {
			continue
		}
		s.exported++
		if documented {
			s.documented++
		}
	}
}

// receiver returns the name of the method's type.
func receiver(d *ast.FuncDecl) (name string) {
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return true
	})
	return name
}

// lines counts the lines of a source file that are neither empty nor only a comment.
func lines(name string) int {
	source, err := os.ReadFile(name)
	if err != nil {
		return 0 // it was parsed a moment ago
	}
	file := token.NewFileSet().AddFile(name, -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	with := make(map[int]bool)
	for {
		at, kind, text := s.Scan()
		if kind == token.EOF {
			return len(with)
		}
		if text == "\n" { // the semicolon that stands for a line's end
			continue
		}
		for i := range strings.Split(text, "\n") { // a string may span several
			with[file.Line(at)+i] = true
		}
	}
}

// fields counts the fields of a struct of the package; 0 if there is none of that name.
func (p *product) fields(name string) int {
	o := p.pkg.Scope().Lookup(name)
	if o == nil {
		return 0
	}
	s, ok := o.Type().Underlying().(*types.Struct)
	if !ok {
		return 0
	}
	return s.NumFields()
}
