package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// copyrightOf writes a copyright file that has all that is linked into this test.
func copyrightOf(t *testing.T) string {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build info")
	}
	text := "Format: x\n\nFiles: *\nCopyright: a\nLicense: Apache-2.0\n text\n\nFiles: a/b.css\nCopyright: b\nLicense: Expat\n\nFiles: std/*\nCopyright: c\nLicense: BSD-3-clause\n"
	for _, m := range info.Deps {
		text += "\nFiles: " + m.Path + "/*\nCopyright: d\n e\nLicense: Expat and Apache-2.0\n License: not this\n"
	}
	name := filepath.Join(t.TempDir(), "copyright")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestMaterials makes the bill of this test: every reference leads to one component, and twice it is the same.
func TestMaterials(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyright := copyrightOf(t)
	var texts []string
	for range 2 {
		b, err := materials("1.2.3", copyright, []string{self})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
		whole(t, b)
	}
	if texts[0] != texts[1] {
		t.Errorf("not the same:\n%s\n%s", texts[0], texts[1])
	}
	for _, want := range []string{
		`"bomFormat":"CycloneDX","specVersion":"1.6","version":1`, `"name":"exile","version":"1.2.3","licenses":[{"expression":"Apache-2.0"}]`,
		`"name":"a/b.css","licenses":[{"expression":"MIT"}]`, `"purl":"pkg:golang/std@go1.`, `"alg":"SHA-256","content":"`,
	} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("%s is missing in\n%s", want, texts[0])
		}
	}
}

// whole finds each reference once among the components, and nothing that nobody depends on.
func whole(t *testing.T, b *bom) {
	t.Helper()
	refs := []string{b.Metadata.Component.Ref}
	for _, c := range b.Components {
		refs = append(refs, c.Ref)
	}
	used := []string{b.Metadata.Component.Ref}
	for _, d := range b.Dependencies {
		used = append(used, d.DependsOn...)
	}
	slices.Sort(refs)
	if once := slices.Compact(slices.Clone(refs)); len(once) != len(refs) {
		t.Errorf("a reference is there twice: %q", refs)
	}
	slices.Sort(used)
	if used = slices.Compact(used); !slices.Equal(used, refs) {
		t.Errorf("used are %q, there are %q", used, refs)
	}
}

// TestRefuse: nothing is billed whose license is not known.
func TestRefuse(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "copyright")
	for text, want := range map[string]string{
		"Files: *\nLicense: Expat\n":     "has no license of it",
		"Files: *\nLicense: Beerware\n":  `the license of * is "Beerware"`,
		"Files: *\nCopyright: License\n": `the license of * is ""`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := materials("1", name, []string{self}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
