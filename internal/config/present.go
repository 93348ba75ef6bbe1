package config

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// auto is the value of enabled that leaves the choice to what is installed.
const auto = "auto"

// parseEnabled reads yes, no or auto.
func parseEnabled(j *Jail, v value) (err error) {
	if s, wrong := v.scalar(); wrong == nil && strings.EqualFold(s, auto) {
		j.Enabled, j.Auto = true, true
		return nil
	}
	j.Enabled, err = parseBool(v)
	j.Auto = false
	return err
}

// unitDirs are the folders in which systemd looks for the units of the system.
var unitDirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early", "/etc/systemd/system",
	"/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator", "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
}

// host is where units and logs are looked for.
type host struct {
	root   string                      // empty: /
	exists func(logpath []string) bool // nil: logs are looked for like units
}

// has reports whether a unit or a log of the jail exists.
func (h host) has(j *Jail) bool {
	if slices.ContainsFunc(j.Units, func(unit string) bool { return hasUnit(h.root, unit) || hasUnit(h.root, template(unit)) }) {
		return true
	}
	if h.exists != nil && h.root == "" {
		return len(j.LogPath) > 0 && h.exists(j.LogPath)
	}
	return slices.ContainsFunc(j.LogPath, func(pattern string) bool { return len(matches(h.root, pattern)) > 0 })
}

// hasUnit reports whether there is a unit that the pattern matches and that is not masked: the first folder that has its file decides.
func hasUnit(root, pattern string) bool {
	decided := make(map[string]bool)
	for _, dir := range unitDirs {
		for _, file := range matches(root, filepath.Join(dir, pattern)) {
			name := filepath.Base(file)
			if to, err := os.Readlink(file); !decided[name] && (err != nil || to != os.DevNull) {
				return true
			}
			decided[name] = true
		}
	}
	return false
}

// matches returns the files that match a pattern; none if a folder may not be listed.
func matches(root, pattern string) []string {
	files, _ := filepath.Glob(filepath.Join(cmp.Or(root, "/"), pattern)) // patterns were checked
	return files
}

// template returns the file of the template that an instance, or a pattern for instances, is made of.
func template(unit string) string {
	name, rest, ok := strings.Cut(unit, "@")
	if !ok {
		return unit
	}
	return name + "@" + filepath.Ext(rest)
}
