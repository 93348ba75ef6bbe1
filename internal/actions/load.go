package actions

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is the name of the folder of actions, in each of the folders of the configuration.
const Folder = "actions.d"

// Limits on files.
const (
	maxFile  = 64 << 10
	maxFiles = 64
)

// directories are the folders of the configuration, as exile.yaml(5) has them, below root.
func directories(root string) (dirs []string) {
	for _, d := range []string{"/etc/exile", "/run/exile", "/usr/local/lib/exile", "/usr/lib/exile"} {
		dirs = append(dirs, filepath.Join("/", root, d, Folder))
	}
	return dirs
}

// Broken is an action whose file has a mistake.
type Broken struct {
	Name string
	Err  error
}

// Load reads the actions of the host whose files are below root, by name: NAME.yaml in actions.d of /etc/exile, /run/exile,
// /usr/local/lib/exile and /usr/lib/exile. A file hides those of the same name in later folders; an empty one or a link to /dev/null only
// hides them. A file with a mistake does not keep the others from being used.
func Load(root string) (all []*Action, broken []Broken, err error) {
	paths, err := find(root)
	if err != nil {
		return nil, nil, fmt.Errorf("read actions: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		a, err := loadFile(paths[name])
		switch {
		case err != nil:
			broken = append(broken, Broken{strings.TrimSuffix(name, Suffix), err})
		case a != nil && !a.Disabled:
			all = append(all, a)
		}
	}
	return all, broken, nil
}

// Version tells which files of actions the host has: it differs once one was made, removed, replaced or changed.
func Version(root string) string {
	paths, err := find(root)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		var s unix.Stat_t
		err := unix.Stat(paths[name], &s)
		fmt.Fprintln(&b, paths[name], s.Ino, s.Size, s.Mtim, s.Ctim, err)
	}
	return b.String()
}

// LoadOne reads the action of that name.
func LoadOne(root, name string) (*Action, error) {
	paths, err := find(root)
	if err != nil {
		return nil, fmt.Errorf("read actions: %w", err)
	}
	path, ok := paths[name+Suffix]
	if !ok {
		return nil, fmt.Errorf("there is no action %q any more", name)
	}
	a, err := loadFile(path)
	if err == nil && (a == nil || a.Disabled) {
		err = fmt.Errorf("action %q is not enabled any more", name)
	}
	return a, err
}

// find returns the paths of the files by name.
func find(root string) (map[string]string, error) {
	paths := map[string]string{}
	for _, dir := range directories(root) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name := e.Name()
			if !strings.HasPrefix(name, ".") && strings.HasSuffix(name, Suffix) && paths[name] == "" {
				paths[name] = filepath.Join(dir, name)
			}
		}
	}
	if len(paths) > maxFiles {
		return nil, fmt.Errorf("%d files in %s: at most %d actions are possible", len(paths), Folder, maxFiles)
	}
	return paths, nil
}

// loadFile reads an action; nil if the file is empty.
func loadFile(name string) (*Action, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // does not wait for a pipe
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w; every action must be readable for all, secrets belong in /etc/exile/credentials: run chmod o+r %s", err, name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeCharDevice != 0:
		return nil, nil
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) == 0:
		return nil, nil
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s is larger than %d kB", name, maxFile>>10)
	}
	return Parse(name, data)
}
