package main

import (
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// graphOf reads a graph: "main>wire,log wire>log".
func graphOf(text string) graph {
	g := make(graph)
	for line := range strings.FieldsSeq(text) {
		user, all, _ := strings.Cut(line, ">")
		for used := range strings.SplitSeq(all, ",") {
			for _, file := range []string{user, used} {
				if g[file] == nil {
					g[file] = make(map[string]bool)
				}
			}
			g[user][used] = true
		}
	}
	return g
}

func TestGraph(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		graph                  string
		uses, upwards, inCycle int
	}{
		"a tree":                     {"main>a,b a>c,d b>d c>d", 6, 0, 0},
		"used by few, yet no cycle":  {"x>pop y>pop z>pop pop>own own>c", 5, 0, 0},
		"two that use each other":    {"main>a a>b b>a,c", 4, 1, 2},
		"one ring":                   {"a>b b>c c>d d>a", 4, 1, 4},
		"a helper that calls back":   {"main>a,b,c a>run b>run c>run run>main", 7, 1, 7},
		"two rings with a road":      {"a>b b>a,c c>d d>c", 5, 2, 4},
		"a file that moves helps it": {"a>b,c,d b>c,d c>a d>a,b", 8, 3, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(tt.graph)
			order := g.order()
			if files := slices.Sorted(slices.Values(order)); !slices.Equal(files, slices.Sorted(maps.Keys(g))) {
				t.Errorf("the order is %q", order)
			}
			if g.size() != tt.uses || g.against(order) != tt.upwards || g.inCycles() != tt.inCycle {
				t.Errorf("%d uses, %d upwards, %d in cycles in the order %q, want %d, %d, %d",
					g.size(), g.against(order), g.inCycles(), order, tt.uses, tt.upwards, tt.inCycle)
			}
		})
	}
}

// TestSize measures a package: its lines, functions, documented names, and which file uses which.
func TestSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.go": "// Package p is a test.\npackage p\n\n/* two\nlines */\n\n// T has a doc.\ntype T struct{ a, b int }\n\nfunc (t T) Sum() int { // no doc\n\treturn t.a +\n\n\t\tfive\n}\n",
		"b.go": "package p\n\nconst five = 5\n\nvar Text = `one\ntwo`\n\nfunc first(t T) int { return t.a }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := product{fset: token.NewFileSet(), listed: listed{ImportPath: "exile/p", Dir: dir, GoFiles: []string{"a.go", "b.go"}}}
	if err := p.check(nil); err != nil {
		t.Fatal(err)
	}
	want := size{files: 2, lines: 6 + 5, functions: 2, exported: 3, documented: 1, longest: 5, where: "Sum in exile/p/a.go"}
	if got := p.size(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := p.fields("T"); n != 2 {
		t.Errorf("%d fields", n)
	}
	if g := p.uses(); !g["a.go"]["b.go"] || !g["b.go"]["a.go"] || g.size() != 2 {
		t.Errorf("uses: %v", g)
	}
}
