// Notices writes the copyright file of the packages, in Debian's machine-readable format: exile's own terms, and the notices
// of everything linked into its programs. It reads the list of linked packages from standard input:
//
//	go list -deps -json ./cmd/... | notices >copyright
//
// It fails on a module without a license file, and on an unknown license.
package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	if err := errors.Join(write(out, os.Stdin, "."), out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

const head = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: exile
Comment: The programs are static. Of what is linked into them, files are named by
 Go's import paths; what is below "std" is Go's own library and runtime.
 Nothing of it was changed. Each paragraph says where the source is that it
 speaks of, also for the files that are under the Mozilla Public License.

Files: *
Copyright: The exile authors
License: Apache-2.0
 The text is in /usr/share/doc/exile/Apache-2.0; Debian systems have it in
 /usr/share/common-licenses/Apache-2.0, too.
Comment: The shell completions are made by github.com/spf13/cobra.
`

// write writes the copyright file for the packages that go list lists. exile's sources are in root.
func write(w io.Writer, list io.Reader, root string) error {
	apache, err := os.ReadFile(root + "/LICENSE")
	if err != nil {
		return err
	}
	own, err := panel(root)
	if err != nil {
		return err
	}
	modules, err := linked(list)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, head+own); err != nil {
		return err
	}
	terms := newTerms(string(apache))
	for _, m := range modules {
		text, err := m.stanza(terms)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// panel returns the stanza for the style sheet that is not exile's own.
func panel(root string) (string, error) {
	const name = "cockpit/exile/patternfly.css"
	data, err := os.ReadFile(root + "/" + name)
	if err != nil {
		return "", err
	}
	notice, _, _ := strings.Cut(string(data), "*/")
	_, notice, _ = strings.Cut(notice, "/*")
	kinds, err := kindsOf(notice)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return stanza(name, holders(notice), kinds, notice, ""), nil
}

// stanza returns a paragraph of the copyright file.
func stanza(files string, holders, kinds []string, text, comment string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nFiles: %s\nCopyright: %s\nLicense: %s\n", files, strings.Join(holders, "\n "), strings.Join(kinds, " and "))
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		line = strings.TrimRight(line, " \t\r\n")
		b.WriteString(" " + cmp.Or(line, ".") + "\n")
	}
	if comment != "" {
		fmt.Fprintf(&b, "Comment: %s\n", comment)
	}
	return b.String()
}

// holders returns the lines of a text that begin with a copyright, each once.
func holders(text string) (all []string) {
	for _, m := range holder.FindAllStringSubmatch(text, -1) {
		if name := strings.TrimSpace(m[1]); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
