package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	holder = regexp.MustCompile(`(?im)^[ \t]*(?:(?:revisions|portions) )?copyright(?: ©| \(c\)|:)? (\d{4}.*)$`)
	// clause finds a paragraph that is part of a license.
	clause = regexp.MustCompile(`(?i)permission is hereby granted|permission to use, copy|redistributions? (and use )?(in|of) (source|binary)|` +
		`above copyright notice|freely granted|used freely|provided (by|"as is")|neither the name`)
	comment = regexp.MustCompile(`(?m)(^[ \t]*//.*\n)+`)
	marks   = regexp.MustCompile(`(?m)^[ \t]*//[ \t]?`)
	ruler   = regexp.MustCompile(`(?m)^\s*=+\s*$\n?`)
)

// sources returns the notices in comments of the linked source files, with the names of those files, and the copyright
// holders. A file that points at the license file has no notice of its own.
func (m *module) sources() (text string, holds []string, err error) {
	files := map[string][]string{} // by notice
	var order []string
	for _, p := range m.packages {
		for _, list := range [][]string{p.GoFiles, p.SFiles, p.HFiles} {
			for _, base := range list {
				path := filepath.Join(p.Dir, base)
				data, err := os.ReadFile(path)
				if err != nil {
					return "", nil, err
				}
				name, _ := filepath.Rel(m.dir, path) // the path is below the folder
				for _, c := range comments(data) {
					holds = append(holds, holders(c)...)
					n := notice(c)
					if n == "" {
						continue
					}
					if files[n] == nil {
						order = append(order, n)
					}
					files[n] = append(files[n], name)
				}
			}
		}
	}
	for _, n := range order {
		text += fmt.Sprintf("\n%s:\n\n%s\n", strings.Join(files[n], ",\n"), n)
	}
	return text, unique(holds), nil
}

// comments returns the // comments in a source file that mention a copyright, without the slashes.
func comments(source []byte) (all []string) {
	for _, c := range comment.FindAll(source, -1) {
		if bytes.Contains(bytes.ToLower(c), []byte("copyright")) {
			all = append(all, marks.ReplaceAllString(string(c), ""))
		}
	}
	return all
}

// notice returns the part of a comment from the first copyright to the last paragraph of its license; empty without a
// license.
func notice(comment string) string {
	comment = ruler.ReplaceAllString(comment, "\n")
	from := holder.FindStringIndex(comment)
	if from == nil {
		return ""
	}
	paragraphs := strings.Split(strings.ReplaceAll(comment[from[0]:], "\n\n\n", "\n\n"), "\n\n")
	for n := len(paragraphs); n > 0; n-- {
		if clause.MatchString(paragraphs[n-1]) {
			return strings.TrimRight(strings.Join(paragraphs[:n], "\n\n"), "\n")
		}
	}
	return ""
}
