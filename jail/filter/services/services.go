// Package services reads filters from files. A file says which lines of a service are failed attempts, in patterns, and proves it with
// samples of such lines. The address that a pattern finds is one that the service wrote: see check.go.
package services

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.yaml
var shipped embed.FS

// Template is the file of a filter to start from. It explains itself.
//
//go:embed template.yaml.txt
var Template string

// Suffix ends the names of filter files.
const Suffix = ".yaml"

// MaxFile is how many bytes a file may have: the largest that ships has a tenth of that.
const MaxFile = 256 << 10

// Names returns the sorted names of the filters that ship with exile.
func Names() []string {
	entries, err := shipped.ReadDir(".")
	if err != nil {
		return nil // it is in the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), Suffix))
	}
	slices.Sort(names)
	return names
}

// Shipped returns the file of a filter that ships with exile. The error is fs.ErrNotExist if there is none.
func Shipped(name string) ([]byte, error) {
	if !IsName(name) {
		return nil, fmt.Errorf("filter %q: %w", name, fs.ErrNotExist)
	}
	return shipped.ReadFile(name + Suffix)
}

// IsName reports whether that can be the name of a filter, and so is no path.
func IsName(name string) bool {
	return name != "" && !strings.HasPrefix(name, "-") && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
