package textlog

import (
	"path/filepath"
	"slices"
	"strings"
)

// This file says what a Source opens, for those that open it in its place.

// IsLog reports whether name, which is clean, is a log that pattern matches, or what such a log was rotated to and not compressed.
func IsLog(pattern, name string) bool {
	want, parts := partsOf(pattern, name)
	last := len(want) - 1
	if len(parts) != len(want) || !matches(want[:last], parts[:last]) {
		return false
	}
	return match(want[last], parts[last]) ||
		slices.ContainsFunc(origins(parts[last]), func(log string) bool { return match(want[last], log) })
}

// IsFolder reports whether name, which is clean, is a folder that has to be listed to find the logs of pattern and their rotations.
func IsFolder(pattern, name string) bool {
	want, parts := partsOf(pattern, name)
	first := len(want) - 1
	if i := slices.IndexFunc(want, isPattern); i >= 0 {
		first = min(i, first)
	}
	return len(parts) >= first && len(parts) < len(want) && matches(want[:len(parts)], parts)
}

// partsOf returns the parts of absolute paths, of which the first is empty. They are matched one by one, as they are listed one by one:
// in a whole path [^a] matches a slash, too.
func partsOf(pattern, name string) (want, parts []string) {
	const slash = string(filepath.Separator)
	return strings.Split(filepath.Clean(pattern), slash), strings.Split(strings.TrimSuffix(name, slash), slash)
}

func matches(want, parts []string) bool { return slices.EqualFunc(want, parts, match) }

func match(pattern, name string) bool {
	ok, err := filepath.Match(pattern, name)
	return ok && err == nil
}

// origins returns the names of all logs that may have been rotated to name.
func origins(name string) (logs []string) {
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	for i := 1; i < len(name); i++ {
		for _, log := range []string{name[:i], stem[:min(i, len(stem))] + extension} {
			if isRotation(log, name) {
				logs = append(logs, log)
			}
		}
	}
	return logs
}

// Exists reports whether there is a log now.
func (c Config) Exists() bool {
	for _, pattern := range c.Paths {
		paths, _ := c.expand(pattern) // a folder that we may not list shows none
		if slices.ContainsFunc(paths, c.exists) {
			return true
		}
	}
	return false
}

// exists reports whether there is something at path.
func (c Config) exists(path string) bool {
	_, err := c.stat(path)
	return err == nil
}
