package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A text on trial can be a drop-in: its first line says so. That line is a YAML directive that no file may have, so that a daemon that does not know
// it rejects the text, and does not take it for the main file.

const dropInMark = "%drop-in "

var dropInFile = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,99}\.yaml$`)

// OnTrial returns the Text of [Sources] that adds a drop-in of that name, or replaces it, and leaves the main file alone.
func OnTrial(name, text string) string { return dropInMark + name + "\n" + text }

// DropIn returns the name of the drop-in that a text on trial is, and what is to be written into it; ok is false if it is a main file.
func DropIn(onTrial string) (name, text string, ok bool) {
	first, text, _ := strings.Cut(onTrial, "\n")
	name, ok = strings.CutPrefix(first, dropInMark)
	if !ok || !dropInFile.MatchString(name) {
		return "", "", false
	}
	return name, text, true
}

// DropInPath returns the path of a drop-in beside the main file.
func (s Sources) DropInPath(name string) string { return filepath.Join(s.Main()+".d", name) }

// withTried puts the drop-in on trial, if there is one, in its place among the others.
func (s Sources) withTried(dropIns []file) []file {
	name, text, ok := DropIn(s.Text)
	if !ok {
		return dropIns
	}
	called := func(f file) string { return filepath.Base(f.name) }
	dropIns = slices.DeleteFunc(dropIns, func(f file) bool { return called(f) == name })
	i, _ := slices.BinarySearchFunc(dropIns, name, func(f file, name string) int { return cmp.Compare(called(f), name) })
	return slices.Insert(dropIns, i, file{name: TriedName(name), data: []byte(text)})
}

// TriedName is the name in messages of a drop-in that is on trial.
func TriedName(name string) string { return name + " on trial" }

// replaces reports whether the text replaces the main file.
func (s Sources) replaces() bool {
	_, _, more := DropIn(s.Text)
	return s.Text != "" && !more
}

// single reads the only file, if there is one.
func (s Sources) single() ([]file, error) {
	if s.replaces() {
		return s.text(), nil
	}
	if s.Text != "" {
		return nil, fmt.Errorf("exiled was started with --config and reads only %s: no drop-in can be on trial", s.File)
	}
	f, err := readFile(s.File)
	return []file{f}, err
}
