package textlog

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// wildcards make a path a pattern.
const wildcards = `*?[\`

func isPattern(path string) bool { return strings.ContainsAny(path, wildcards) }

// open opens a log, or a folder to list it. It never blocks, not even on a FIFO that somebody put there.
func (c Config) open(name string) (*os.File, error) {
	if c.Open != nil {
		return c.Open(name)
	}
	return os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

// stat describes the file at name, which it opens if its folder is closed to us.
func (c Config) stat(name string) (fs.FileInfo, error) {
	info, err := os.Stat(name)
	if !errors.Is(err, fs.ErrPermission) {
		return info, err
	}
	f, err := c.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// names returns the names in a folder, in order.
func (c Config) names(folder string) ([]string, error) {
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		return nil, nil // a file where a pattern has a folder
	}
	f, err := c.open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// expand returns the paths that pattern matches now, without rotated files, which are found by their former name. A path
// without wildcards stands for itself, even if it does not exist. The error is that of a folder that we may not list.
func (c Config) expand(pattern string) (paths []string, err error) {
	if !isPattern(pattern) {
		return []string{pattern}, nil
	}
	return c.glob(pattern, func(name string, names []string) bool { return !isRotated(name, names) })
}

// glob returns the paths that pattern matches. Of those with wildcards in their last part only what keep wants, which gets all names
// in the folder as well.
func (c Config) glob(pattern string, keep func(name string, names []string) bool) (paths []string, err error) {
	folder, base := filepath.Split(pattern)
	folders := []string{filepath.Clean(folder)}
	if isPattern(folder) {
		folders, err = c.glob(folders[0], func(string, []string) bool { return true })
	}
	for _, folder := range folders {
		names, failed := []string{base}, error(nil)
		if isPattern(base) {
			names, failed = c.names(folder)
		} else if _, failed = c.stat(filepath.Join(folder, base)); failed != nil {
			names = nil
		}
		if errors.Is(failed, fs.ErrPermission) {
			err = cmp.Or(err, failed)
		}
		for _, name := range names {
			if ok, _ := filepath.Match(base, name); ok && keep(name, names) { // New checked the pattern
				paths = append(paths, filepath.Join(folder, name))
			}
		}
	}
	return paths, err
}

// isRotated reports whether name is what a log was rotated to, among the names in its folder, which are in order.
func isRotated(name string, names []string) bool {
	extension := filepath.Ext(name)
	switch extension {
	case ".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z":
		return true
	}
	stem := strings.TrimSuffix(name, extension)
	for i := range len(name) {
		if isCount(name[i:]) {
			return true
		}
		if i < len(stem) && isCount(stem[i:]) {
			log := stem[:i] + extension
			if _, found := slices.BinarySearch(names, log); found && isRotation(log, name) {
				return true
			}
		}
	}
	return false
}

// isRotation reports whether name is what the log base was rotated to and not compressed: access.log.1, access.log-20260102 and, with
// logrotate's extension, access.1.log and access-20260102.log. But access-2.log is another log.
func isRotation(base, name string) bool {
	if suffix, ok := strings.CutPrefix(name, base); ok && isCount(suffix) {
		return true
	}
	extension := filepath.Ext(base)
	count, ok := strings.CutPrefix(name, strings.TrimSuffix(base, extension))
	if !ok || extension == "" {
		return false
	}
	count, ok = strings.CutSuffix(count, extension)
	return ok && isCount(count) && (count[0] == '.' || len(count) > len("-260102"))
}

// isCount reports whether s is what logrotate and the like append to the name of a rotated log: .1, -20260102, -2026-01-02
func isCount(s string) bool {
	if len(s) < 2 || (s[0] != '.' && s[0] != '-') {
		return false
	}
	for number := range strings.SplitSeq(s[1:], "-") {
		if number == "" || strings.Trim(number, "0123456789") != "" {
			return false
		}
	}
	return true
}
