package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// bom is the part of CycloneDX 1.6 that is written.
type bom struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version,omitempty"`
	Hashes   []hash    `json:"hashes,omitempty"`
	Licenses []license `json:"licenses,omitempty"`
	PURL     string    `json:"purl,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	Expression string `json:"expression"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// materials makes the bill of programs, with the licenses of a copyright file.
func materials(version, copyright string, programs []string) (*bom, error) {
	text, err := os.ReadFile(copyright)
	if err != nil {
		return nil, err
	}
	licenses, err := licensesIn(string(text))
	if err != nil {
		return nil, err
	}
	root := component{Type: "application", Ref: "exile", Name: "exile", Version: version, Licenses: licenses["*"]}
	b := &bom{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{root}}
	b.Dependencies = []dependency{{Ref: root.Ref}}
	for files, l := range licenses { // what is no module: files of others
		if !strings.HasSuffix(files, "*") {
			b.Components = append(b.Components, component{Type: "file", Ref: files, Name: files, Licenses: l})
			b.Dependencies[0].DependsOn = append(b.Dependencies[0].DependsOn, files)
		}
	}
	for _, p := range programs {
		if err := b.addProgram(p, version, licenses); err != nil {
			return nil, err
		}
	}
	slices.Sort(b.Dependencies[0].DependsOn)
	slices.SortFunc(b.Components, func(a, b component) int { return cmp.Compare(a.Ref, b.Ref) })
	b.Components = slices.CompactFunc(b.Components, func(a, b component) bool { return a.Ref == b.Ref })
	for _, c := range b.Components {
		if c.Type == "library" {
			b.Dependencies = append(b.Dependencies, dependency{c.Ref, []string{}})
		}
	}
	return b, nil
}

// addProgram adds a program and the modules that are linked into it.
func (b *bom) addProgram(path, version string, licenses map[string][]license) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	p := component{
		Type: "application", Ref: filepath.Base(path), Name: filepath.Base(path), Version: version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Licenses: licenses["*"],
	}
	d := dependency{Ref: p.Ref}
	b.Components = append(b.Components, p)
	for _, m := range append(info.Deps, &debug.Module{Path: "std", Version: info.GoVersion}) {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, Licenses: licenses[m.Path+"/*"]}
		c.PURL = "pkg:golang/" + strings.ToLower(m.Path) + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
		c.Ref = c.PURL
		if len(c.Licenses) == 0 {
			return fmt.Errorf("%s is linked into %s, and the copyright file has no license of it", m.Path, p.Name)
		}
		b.Components = append(b.Components, c)
		d.DependsOn = append(d.DependsOn, c.Ref)
	}
	slices.Sort(d.DependsOn)
	b.Dependencies[0].DependsOn = append(b.Dependencies[0].DependsOn, p.Ref)
	b.Dependencies = append(b.Dependencies, d)
	return nil
}

// spdx are the names of SPDX for those of Debian.
var spdx = map[string]string{
	"Expat": "MIT", "BSD-2-clause": "BSD-2-Clause", "BSD-3-clause": "BSD-3-Clause", "ISC": "ISC",
	"Apache-2.0": "Apache-2.0", "MPL-2.0": "MPL-2.0", "CC0-1.0": "CC0-1.0",
}

// licensesIn returns the licenses of a copyright file in Debian's format, by what stands behind Files.
func licensesIn(copyright string) (map[string][]license, error) {
	all := make(map[string][]license)
	for paragraph := range strings.SplitSeq(copyright, "\n\n") {
		files, is := strings.CutPrefix(paragraph, "Files: ")
		if !is {
			continue
		}
		files, rest, _ := strings.Cut(files, "\n")
		_, names, _ := strings.Cut("\n"+rest, "\nLicense: ")
		names, _, _ = strings.Cut(names, "\n")
		var terms []string
		for name := range strings.SplitSeq(names, " and ") {
			if spdx[name] == "" {
				return nil, fmt.Errorf("the license of %s is %q, of which SPDX's name is not known", files, name)
			}
			terms = append(terms, spdx[name])
		}
		all[files] = []license{{strings.Join(terms, " AND ")}}
	}
	return all, nil
}
