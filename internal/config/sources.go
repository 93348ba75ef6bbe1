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

// Sources says where the files are. The zero value: where the system has them.
type Sources struct {
	Root string // put before every path; empty: /
	File string // the only file to read, without Root; empty: the usual ones
	Text string // read in place of the main file, or of File; empty: they are
}

// textName is the name of Text in messages.
const textName = "configuration on trial"

// Main is the path of the file that Text takes the place of, whether it exists or not.
func (s Sources) Main() string {
	if s.File != "" {
		return s.File
	}
	return filepath.Join(s.directories()[0], mainName)
}

const (
	mainName = "exile.yaml"
	// maxFile is the most that one file may hold: long lists belong into a file: of ignoreip.
	maxFile = 1 << 20
	// maxDropIns bounds the number of files.
	maxDropIns = 256
)

// Load reads the main file of the first of these directories that has one, and over it the *.yaml drop-ins of all,
// by name: /etc/exile, /run/exile, /usr/local/lib/exile, /usr/lib/exile. A drop-in hides those of the same name in
// directories behind; an empty file or a link to /dev/null takes the place and says nothing. No file at all is fine.
//
// The error joins all mistakes in the files, each a *Problem, or says which file could not be read.
func Load(s Sources) (*Config, error) {
	files, err := s.files()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parse(files)
}

func (s Sources) directories() []string {
	dirs := []string{"/etc/exile", "/run/exile", "/usr/local/lib/exile", "/usr/lib/exile"}
	for i, d := range dirs {
		dirs[i] = filepath.Join("/", s.Root, d)
	}
	return dirs
}

func (s Sources) files() ([]file, error) {
	switch {
	case s.File != "" && s.Text != "":
		return s.text(), nil
	case s.File != "":
		f, err := readFile(s.File)
		return []file{f}, err
	}
	main, err := s.mainFile()
	if err != nil {
		return nil, err
	}
	dropIns, err := s.dropIns()
	return append(main, dropIns...), err
}

func (s Sources) text() []file { return []file{{name: textName, data: []byte(s.Text)}} }

func (s Sources) mainFile() ([]file, error) {
	if s.Text != "" {
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

func (s Sources) dropIns() ([]file, error) {
	paths := map[string]string{}
	for _, dir := range s.directories() {
		dir = filepath.Join(dir, "exile.yaml.d")
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name := e.Name()
			if strings.HasPrefix(name, ".") || filepath.Ext(name) != ".yaml" || paths[name] != "" {
				continue
			}
			paths[name] = filepath.Join(dir, name)
		}
	}
	if len(paths) > maxDropIns {
		return nil, fmt.Errorf("%d drop-in files in exile.yaml.d: at most %d", len(paths), maxDropIns)
	}
	var files []file
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		f, err := readFile(paths[name])
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// readFile reads a regular file, or nothing from /dev/null. It does not wait at a named pipe.
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
