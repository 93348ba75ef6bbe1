package config

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

// Sources says where the files are. The zero value means the usual places.
type Sources struct {
	Root string // put before every path; empty: /
	File string // the only file to read besides filters, without Root; empty: the usual ones
	Text string // replaces the main file, or File, or is a drop-in of [OnTrial]; empty: they are read
	Over string // laid over all files, as the last of them; empty: nothing
	// Packaged asks only for the files of packages, without those of the administrator.
	Packaged bool
	// Exists reports whether there is a log at one of these paths and patterns, for "enabled: auto"; it is asked on a host without Root. nil:
	// as far as this process may look.
	Exists func(logpath []string) bool
}

// OverName is the name of Over in messages.
const OverName = "--set"

// textName is the name of Text in messages.
const textName = "configuration on trial"

// Main returns the path of the file that Text replaces, whether it exists or not.
func (s Sources) Main() string {
	if s.File != "" {
		return s.File
	}
	return filepath.Join(s.directories()[0], mainName)
}

const (
	mainName  = "exile.yaml"
	dropInDir = mainName + ".d"
	// maxFile is the maximum size of one file: long lists belong in a file: of ignoreip.
	maxFile = 1 << 20
	// maxTotal is the maximum size of all files together.
	maxTotal = 4 << 20
	// maxDropIns is the maximum number of files.
	maxDropIns = 256
)

// Load reads the main file of the first of these directories that has one, and over it the *.yaml drop-ins of all,
// by name: /etc/exile, /run/exile, /usr/local/lib/exile, /usr/lib/exile. A drop-in hides those of the same name in
// later directories; an empty file or a link to /dev/null only hides them. No file at all is fine. filters.d/*.yaml are read likewise.
//
// The error joins all mistakes in the files, each a *Problem, or says which file could not be read.
func Load(s Sources) (*Config, error) {
	files, err := s.files()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w%s", err, permit(err))
	}
	if s.Over != "" {
		files = append(files, file{name: OverName, data: []byte(s.Over)})
	}
	return parseIn(host{s.Root, s.Exists}, files)
}

// permit says how to let the daemon read a file that it may not read.
func permit(err error) string {
	e, ok := errors.AsType[*fs.PathError](err)
	if !ok || !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	for i, r := range e.Path { // the first folder that cannot be searched, if it is one of these
		if dir := e.Path[:i]; r == '/' && i > 0 && unix.Access(dir, unix.X_OK) != nil {
			return fmt.Sprintf("; exiled reads it as the user exile: run chmod o+rx %s", dir)
		}
	}
	mode := "o+r"
	if info, err := os.Stat(e.Path); err == nil && info.IsDir() {
		mode = "o+rx"
	}
	return fmt.Sprintf("; exiled reads it as the user exile: run chmod %s %s", mode, e.Path)
}

func (s Sources) directories() []string {
	dirs := []string{"/etc/exile", "/run/exile", "/usr/local/lib/exile", "/usr/lib/exile"}
	if s.Packaged {
		dirs = dirs[2:]
	}
	for i, d := range dirs {
		dirs[i] = filepath.Join("/", s.Root, d)
	}
	return dirs
}

func (s Sources) files() ([]file, error) {
	if s.File != "" {
		only, err := s.single()
		if err != nil {
			return nil, err
		}
		return s.withFilters(only)
	}
	main, err := s.mainFile()
	if err != nil {
		return nil, err
	}
	dropIns, err := s.filesIn(dropInDir)
	if err != nil {
		return nil, err
	}
	return s.withFilters(append(main, s.withTried(dropIns)...))
}

func (s Sources) withFilters(files []file) ([]file, error) {
	filters, err := s.filterFiles()
	return append(files, filters...), err
}

func (s Sources) text() []file { return []file{{name: textName, data: []byte(s.Text)}} }

func (s Sources) mainFile() ([]file, error) {
	if s.replaces() {
		return s.text(), nil
	}
	for _, dir := range s.directories() {
		f, err := readFile(filepath.Join(dir, mainName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return []file{f}, err
	}
	return nil, nil
}

// filesIn reads the *.yaml files in a folder of each of the directories, by name. A file hides those of the same name in later directories.
func (s Sources) filesIn(folder string) ([]file, error) {
	paths := map[string]string{}
	for _, dir := range s.directories() {
		dir = filepath.Join(dir, folder)
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name := e.Name()
			if isDropIn(name) && paths[name] == "" {
				paths[name] = filepath.Join(dir, name)
			}
		}
	}
	if len(paths) > maxDropIns {
		return nil, fmt.Errorf("%d files in %s: at most %d", len(paths), folder, maxDropIns)
	}
	var files []file
	total := 0
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		f, err := readFile(paths[name])
		if err != nil {
			return nil, err
		}
		if total += len(f.data); total > maxTotal-maxFile {
			return nil, fmt.Errorf("the files hold more than %d bytes together; put long lists into a file and write ignoreip: file:/PATH", maxTotal)
		}
		files = append(files, f)
	}
	return files, nil
}

func isDropIn(name string) bool {
	return !strings.HasPrefix(name, ".") && filepath.Ext(name) == ".yaml"
}

// readFile reads a regular file, or nothing from /dev/null. It does not block on a named pipe.
func readFile(name string) (file, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	if info.Mode()&fs.ModeCharDevice != 0 {
		return file{name: name}, nil
	}
	if !info.Mode().IsRegular() {
		return file{}, fmt.Errorf("%s is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes; put long lists into a file and write ignoreip: file:/PATH", name, maxFile)
	}
	return file{name: name, data: data}, err
}
