package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// pkg is what go list says about a package.
type pkg struct {
	ImportPath, Dir, Root              string
	Standard                           bool
	GoFiles, SFiles, HFiles, SysoFiles []string
	Module                             *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// module is a linked module, or Go's own library.
type module struct {
	path, version, dir string
	packages           []pkg // only linked ones
}

// linked returns the modules of the listed packages except exile's own, sorted by path, with Go's library last.
func linked(list io.Reader) ([]*module, error) {
	byPath := map[string]*module{}
	for d := json.NewDecoder(list); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		if len(p.SysoFiles) > 0 {
			return nil, fmt.Errorf("%s links the object files %q, whose terms are not known: look at them", p.ImportPath, p.SysoFiles)
		}
		m := of(p)
		if m == nil {
			continue
		}
		if byPath[m.path] == nil {
			byPath[m.path] = m
		}
		byPath[m.path].packages = append(byPath[m.path].packages, p)
	}
	if byPath["std"] == nil {
		return nil, errors.New("go list lists nothing of Go's library: is this the list of programs?")
	}
	var all []*module
	for _, m := range byPath {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *module) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// of returns the package's module; nil for exile's.
func of(p pkg) *module {
	switch {
	case p.Standard:
		return &module{path: "std", version: runtime.Version(), dir: p.Root}
	case p.Module == nil || p.Module.Main:
		return nil
	}
	return &module{path: p.Module.Path, version: p.Module.Version, dir: p.Module.Dir}
}

// stanza returns the notices of a module: all license files above its linked packages, and the notices in their sources.
func (m *module) stanza(t terms) (string, error) {
	names, err := m.files()
	if err != nil {
		return "", err
	}
	var kinds, who []string
	var text strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			return "", err
		}
		said := t.cut(string(data))
		fmt.Fprintf(&text, "\n%s:\n\n%s\n", name, strings.Trim(said, "\n"))
		who = append(who, holders(said)...)
		if !grants.MatchString(filepath.Base(name)) {
			continue
		}
		found, err := kindsOf(said)
		if err != nil {
			return "", fmt.Errorf("%s %s: %s: %w", m.path, m.version, name, err)
		}
		kinds = append(kinds, found...)
	}
	if len(kinds) == 0 {
		return "", fmt.Errorf("%s %s: no license file in %s", m.path, m.version, m.dir)
	}
	inSource, more, err := m.sources()
	if err != nil {
		return "", err
	}
	text.WriteString(inSource)
	who = unique(append(who, more...))
	if len(who) == 0 {
		who = []string{"The authors of " + m.path}
	}
	return stanza(m.path+"/*", who, unique(kinds), text.String(), m.origin()), nil
}

var (
	grants  = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)`)
	notices = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense|notice|copyright|patents)`)
)

// boring is the license of object files beside a package of Go's; linked rejects these.
const boring = "src/crypto/internal/boring/LICENSE"

// files returns the names of the license files and notices in the folders of the linked packages and above them, the module's
// own first.
func (m *module) files() ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for _, p := range m.packages {
		for dir := p.Dir; len(dir) >= len(m.dir) && !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			entries, err := os.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if e.Type().IsRegular() && notices.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
					if name, _ := filepath.Rel(m.dir, filepath.Join(dir, e.Name())); name != boring { // dir is below m.dir
						names = append(names, name)
					}
				}
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if deeper := strings.Count(a, "/") - strings.Count(b, "/"); deeper != 0 {
			return deeper
		}
		return strings.Compare(a, b)
	})
	return names, nil
}

// origin says which version is linked, and where anybody can get its source.
func (m *module) origin() string {
	if m.path == "std" {
		return fmt.Sprintf("Go's library and runtime, %s.\n The source is at https://go.dev/dl/%[1]s.src.tar.gz", m.version)
	}
	return fmt.Sprintf("Version %s, unchanged. The source is at\n https://proxy.golang.org/%s/@v/%s.zip", m.version, escape(m.path), escape(m.version))
}

// escape writes a path or version in the form of the Go module proxy: an exclamation mark before a capital.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func unique(list []string) (once []string) {
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}
