// Command figures prints how large exile is and how its packages hang together: `make figures`.
//
// Product code is what is linked into the programs in cmd; it excludes programs and packages that only tests use. A file uses
// another of its package if it names something declared there: a function, a method, a type, a field, a constant. Uses are
// counted once for each pair of files and direction.
// A use is upwards if it goes against the order of the files, which is the order with the fewest such uses that a greedy
// search finds (graph.go). Where the files of a package have no cycle, no use is upwards. "In cycles" counts the uses between
// files that lead back to each other.
package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// folders are listed with all packages below them.
var folders = []string{"dbusapi", "internal/daemon", "jail", "cmd/exilectl"}

func main() {
	all, err := load(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
	total(all)
	perPackage(all)
}

// total prints the measurements over all packages.
func total(all []*product) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	var sum size
	for _, p := range all {
		sum.add(p.size())
	}
	fmt.Fprintf(w, "lines of product code\t%d\n", sum.lines)
	fmt.Fprintf(w, "files\t%d\n", sum.files)
	fmt.Fprintf(w, "functions\t%d\n", sum.functions)
	fmt.Fprintf(w, "longest function\t%d lines, %s\n", sum.longest, sum.where)
	fmt.Fprintf(w, "exported names documented\t%d of %d, %.1f %%\n", sum.documented, sum.exported, 100*float64(sum.documented)/float64(max(sum.exported, 1)))
	for _, p := range all {
		if p.ImportPath == "exile/internal/daemon" {
			fmt.Fprintf(w, "fields of the daemon's struct\t%d\n", p.fields("Daemon"))
		}
	}
}

// perPackage prints the measurements of each package below the folders.
func perPackage(all []*product) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprintln(w, "\npackage\tlines\tfiles\tuses\tupwards\tin cycles\t")
	for _, folder := range folders {
		for _, p := range all {
			path := strings.TrimPrefix(p.ImportPath, "exile/")
			if path != folder && !strings.HasPrefix(path, folder+"/") {
				continue
			}
			s, g := p.size(), p.uses()
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n",
				path, s.lines, s.files, g.size(), g.against(g.order()), g.inCycles())
		}
	}
}
