package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Setting is one value of the merged files.
type Setting struct {
	Section string // "" for the whole daemon, "defaults", or "jails.NAME"
	Key     string
	Value   string // YAML, on one line
	Origin  string // "file:line", or "built-in"
}

// Explain lists every value of the merged files with its origin, in a fixed order. Keys that a jail does not have come from the defaults.
func (c *Config) Explain() []Setting {
	out := c.tree.globals.explain("")
	out = append(out, c.tree.defaults.explain("defaults")...)
	for _, name := range slices.Sorted(maps.Keys(c.tree.jails)) {
		out = append(out, c.tree.jails[name].explain("jails."+name)...)
	}
	return out
}

func (s section) explain(name string) []Setting {
	var out []Setting
	for _, key := range defaultWords() {
		if v, ok := s[key]; ok {
			out = append(out, Setting{Section: name, Key: key, Value: v.flow(), Origin: v.origin()})
		}
	}
	return out
}

// YAML prints the merged files as one, with the origin of each value as a comment. It reads back as the same configuration, except for what
// depends on the order of files: see detection in exile.yaml(5).
func (c *Config) YAML() string {
	var b strings.Builder
	c.tree.globals.print(&b, "")
	b.WriteString("\ndefaults:\n")
	c.tree.defaults.print(&b, "  ")
	b.WriteString("\njails:\n")
	for _, name := range slices.Sorted(maps.Keys(c.tree.jails)) {
		b.WriteString("  " + name + ":\n")
		c.tree.jails[name].print(&b, "    ")
	}
	return b.String()
}

func (s section) print(b *strings.Builder, indent string) {
	for _, v := range s.explain("") {
		fmt.Fprintf(b, "%-50s # %s\n", indent+v.Key+": "+v.Value, v.Origin)
	}
}
