package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const root = "../.."

// goList lists the packages that are linked into exile's programs.
func goList(t *testing.T) []byte {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json", "./cmd/...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWrite checks that the copyright file lists each linked module with each license and notice in its folder, word for
// word, except for the terms of the Apache License.
func TestWrite(t *testing.T) {
	t.Parallel()
	list := goList(t)
	var out, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&out, &again} {
		if err := write(w, bytes.NewReader(list), root); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("two runs do not give the same bytes")
	}
	stanzas := paragraphs(t, out.String())
	folders := map[string]string{"std": runtime.GOROOT()} //nolint:staticcheck // SA1019: the test runs where it was built
	for d := json.NewDecoder(bytes.NewReader(list)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Module != nil && !p.Module.Main {
			folders[p.Module.Path] = p.Module.Dir
		}
	}
	if len(folders) < 25 {
		t.Errorf("only %d modules are linked: nothing was tested", len(folders))
	}
	for path, dir := range folders {
		said, ok := stanzas[path+"/*"]
		if !ok {
			t.Errorf("%s is linked but not mentioned", path)
			continue
		}
		for _, text := range texts(t, dir) {
			if !strings.Contains(said, text) {
				t.Errorf("%s: these words of the notices in %s are missing:\n%s", path, dir, text)
			}
		}
	}
	if len(stanzas) != len(folders)+2 { // exile's own, and the style sheet
		t.Errorf("%d paragraphs, %d modules", len(stanzas), len(folders))
	}
	for path, want := range map[string]string{
		"github.com/hashicorp/golang-lru/v2/*": "License: MPL-2.0 and BSD-3-clause",
		"github.com/coreos/go-systemd/v22/*":   "This product includes software developed at CoreOS, Inc.",
		"gopkg.in/yaml.v3/*":                   "NOTICE: Copyright 2011-2016 Canonical Ltd.",
		"std/*":                                "https://go.dev/dl/" + runtime.Version() + ".src.tar.gz",
		"cockpit/exile/patternfly.css":         "Copyright (c) 2019 Red Hat, Inc.",
	} {
		if !strings.Contains(stanzas[path], want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
}

// paragraphs returns the words of each paragraph of a copyright file by its files, and checks the file's form.
func paragraphs(t *testing.T, text string) map[string]string {
	t.Helper()
	field := regexp.MustCompile(`^(Format|Upstream-Name|Files|Copyright|License|Comment): \S`)
	blank := regexp.MustCompile(`(?m)^ \.$`)
	byFiles := map[string]string{}
	for i, p := range strings.Split(strings.TrimSuffix(text, "\n"), "\n\n") {
		for line := range strings.Lines(p) {
			if line[0] != ' ' && !field.MatchString(line) || strings.TrimSpace(line) == "" {
				t.Errorf("not the format of Debian's copyright files: %q", line)
			}
		}
		if i == 0 {
			continue
		}
		first, _, _ := strings.Cut(p, "\n")
		files, ok := strings.CutPrefix(first, "Files: ")
		if _, twice := byFiles[files]; !ok || twice || !strings.Contains(p, "\nCopyright: ") || !strings.Contains(p, "\nLicense: ") {
			t.Errorf("a bad paragraph: %s", p)
		}
		byFiles[files] = words(blank.ReplaceAllString(p, ""))
	}
	return byFiles
}

// texts returns the words of the license files in a folder, without the terms of the Apache License.
func texts(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "NOTICE*", "PATENTS*"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is well formed
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text := words(string(data))
			before, terms, cut := strings.Cut(text, "Apache License Version 2.0, January 2004 http://www.apache.org/licenses/")
			if !cut {
				all = append(all, text)
				continue
			}
			_, after, _ := strings.Cut(terms, "END OF TERMS AND CONDITIONS")
			all = append(all, strings.TrimSpace(before), strings.TrimSpace(after))
		}
	}
	if len(all) == 0 {
		t.Errorf("no license in %s", dir)
	}
	return all
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

const expat = `The MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software, to deal in it, subject to the
following conditions: The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY.
`

// TestRefuse: nothing is packaged if its terms are missing or unknown.
func TestRefuse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, text, want string }{
		"good":       {"LICENSE", expat, ""},
		"British":    {"LICENCE.txt", expat, ""},
		"missing":    {"README", expat, "example.org/m v1.0.0: no license file in "},
		"a notice":   {"NOTICE", expat, "no license file in "},
		"unknown":    {"LICENSE", "All rights reserved.", "LICENSE: the license is not known: look at it"},
		"changed":    {"LICENSE", strings.Replace(expat, "free of charge", "for a fee", 1), "the license is not known"},
		"restricted": {"LICENSE", expat + "\n\"Commons Clause\" License Condition v1.0\n", `the license says "Commons Clause"`},
		"advertised": {"COPYING", expat + "\n3. All advertising materials mentioning features\n", `the license says "All advertising materials"`},
		"GPL":        {"COPYING", "GNU GENERAL PUBLIC LICENSE Version 3", `the license says "GNU GENERAL PUBLIC LICENSE Version"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range map[string]string{tt.file: tt.text, "m.go": "package m\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			list := fmt.Sprintf(`{"Standard": true, "Dir": %q, "Root": %[1]q}
				{"Dir": %[1]q, "GoFiles": ["m.go"], "Module": {"Path": "example.org/m", "Version": "v1.0.0", "Dir": %[1]q}}`, dir)
			err := write(&bytes.Buffer{}, strings.NewReader(list), root)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestList: a list that is cut short, or contains something without a license text, is rejected.
func TestList(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		``:                      "lists nothing of Go's library",
		`{"Standard": true`:     "read the output of go list",
		`{"Module": {"Path":"x`: "read the output of go list",
		`{"ImportPath": "a/b", "Standard": true, "SysoFiles": ["b.syso"]}`: `a/b links the object files ["b.syso"]`,
	} {
		if _, err := linked(strings.NewReader(list)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", list, err, want)
		}
	}
}

// TestSources: a file with terms of its own is quoted by name; one that points at the license file is not.
func TestSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"LICENSE": expat,
		"a.go":    "// Copyright 2025 Somebody. See LICENSE.\n\npackage m\n",
		"b.go":    "// Copyright (c) 1993 by Sun Microsystems, Inc.\n//\n// Permission to use, copy, modify this is freely granted.\n\npackage m\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := &module{path: "example.org/M", version: "v1", dir: dir, packages: []pkg{{Dir: dir, GoFiles: []string{"a.go", "b.go"}}}}
	text, err := m.stanza(newTerms("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Files: example.org/M/*\nCopyright: 2026 Somebody\n 2025 Somebody. See LICENSE.\n 1993 by Sun Microsystems, Inc.\nLicense: Expat\n",
		"\n b.go:\n .\n Copyright (c) 1993 by Sun Microsystems, Inc.\n .\n Permission to use, copy, modify this is freely granted.\n",
		"https://proxy.golang.org/example.org/!m/@v/v1.zip",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "a.go:") {
		t.Errorf("a.go has no terms of its own:\n%s", text)
	}
}
