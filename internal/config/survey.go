package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files returns the paths that the configuration was read from, in order.
func (c *Config) Files() []string {
	names := make([]string, len(c.files))
	for i, f := range c.files {
		names[i] = f.name
	}
	return names
}

// Passed is a file in a place of configuration that is not read.
type Passed struct{ Path, Why string }

// PassedOver lists files beside those of a configuration that are not read although somebody may expect it. Files that the configuration
// names are not among them. A folder that cannot be read was reported before.
func (c *Config) PassedOver(s Sources) []Passed {
	if s.File != "" {
		return nil
	}
	var all []Passed
	taken := map[string]string{} // the path that was read, by its name
	for _, path := range c.Files() {
		taken[filepath.Base(path)] = path
	}
	for i, dir := range s.directories() {
		for _, path := range []string{filepath.Join(dir, mainName), filepath.Join(dir, dropInDir), filepath.Join(dir, FilterDir)} {
			all = append(all, c.passedIn(path, taken)...)
		}
		if i == 0 { // the other folders hold more than configuration
			all = append(all, c.strangeIn(dir)...)
		}
	}
	return all
}

// passedIn checks a main file, or the drop-ins of a folder.
func (c *Config) passedIn(path string, taken map[string]string) []Passed {
	names := []string{""}
	if filepath.Base(path) != mainName {
		names = namesIn(path)
	}
	var all []Passed
	for _, name := range names {
		file := filepath.Join(path, name)
		info, err := os.Stat(file)
		by := taken[filepath.Base(file)]
		switch {
		case by == file || name == "" && err != nil:
		case err == nil && info.IsDir():
			all = append(all, Passed{file, "it is a folder"})
		case by != "":
			all = append(all, Passed{file, by + " takes its place"})
		case !isDropIn(name):
			all = append(all, Passed{file, "the name of a drop-in or filter ends in .yaml and does not begin with a dot"})
		}
	}
	return all
}

// strangeIn lists the files of a folder beside exile.yaml and its drop-ins.
func (c *Config) strangeIn(dir string) []Passed {
	named := c.names()
	var all []Passed
	for _, name := range namesIn(dir) {
		path := filepath.Join(dir, name)
		if name == mainName || name == dropInDir || name == FilterDir || slices.ContainsFunc(named, func(n string) bool { return n == path || strings.HasPrefix(n, path+"/") }) {
			continue
		}
		all = append(all, Passed{path, fmt.Sprintf("only %s and %s/*.yaml are read", mainName, dropInDir)})
	}
	return all
}

// names returns the paths that the configuration names.
func (c *Config) names() []string {
	named := map[string]bool{}
	for _, j := range c.Jails {
		for _, g := range j.IgnoreIP {
			named[g.File] = true
		}
		for _, arg := range j.IgnoreCommand {
			named[arg] = true
		}
	}
	return slices.Collect(maps.Keys(named))
}

// namesIn returns the names in a folder, up to a limit.
func namesIn(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxDropIns) // what was read before an error
	slices.Sort(names)
	return names
}
