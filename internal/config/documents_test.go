package config

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	packaged = "../../units/config/exile.yaml"
	schema   = "../../units/config/exile.schema.json"
	manPage  = "../../docs/man/exile.yaml.5"
)

func text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The packaged file changes nothing, so that a file in its place begins with the same.
func TestPackagedFile(t *testing.T) {
	t.Parallel()
	diffConfig(t, mustParse(t, ""), mustParse(t, text(t, packaged)))
}

// What the packaged file shows as defaults are the defaults, all of them.
func TestPackagedReference(t *testing.T) {
	t.Parallel()
	shown := regexp.MustCompile(`(?m)^#( *[a-z]+[a-z0-9_.]*:( .*)?)$`).ReplaceAllString(text(t, packaged), "$1")
	got := mustParse(t, shown)
	want := mustParse(t, "jails: {sshd: {detection: adaptive}}")
	diffConfig(t, want, got)
	for _, s := range want.Explain() {
		if s.Section == "jails.sshd" && s.Key == "detection" {
			continue
		}
		if !slices.ContainsFunc(got.Explain(), func(g Setting) bool {
			return g.Section == s.Section && g.Key == s.Key && g.Origin != builtinName
		}) {
			t.Errorf("the packaged file does not show %s of %q", s.Key, s.Section)
		}
	}
}

func diffConfig(t *testing.T, want, got *Config) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}, Jail{}), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Editors know the same words as we do.
func TestSchema(t *testing.T) {
	t.Parallel()
	type object struct {
		Properties map[string]struct {
			Enum             []any
			Minimum, Maximum *json.Number
		}
	}
	var doc struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	dec := json.NewDecoder(strings.NewReader(text(t, schema)))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  object
		want []string
	}{
		"top":      {doc.object, append(topWords(), "DEFAULT")},
		"defaults": {doc.Defs["defaults"], defaultWords()},
		"jail":     {doc.Defs["jail"], names(jailWords())},
	} {
		slices.Sort(c.want)
		if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(c.got.Properties))); diff != "" {
			t.Errorf("%s (-here +schema):\n%s", name, diff)
		}
	}
	// Every value that the schema offers is accepted, and so are its limits.
	for key, p := range doc.Properties {
		for _, v := range p.Enum {
			if s, ok := v.(string); ok {
				mustParse(t, key+": "+s)
			}
		}
		for _, n := range []*json.Number{p.Minimum, p.Maximum} {
			if n != nil {
				mustParse(t, key+": "+n.String())
			}
		}
	}
}

// The man page explains every word, and nothing else.
func TestManPage(t *testing.T) {
	t.Parallel()
	page, _, _ := strings.Cut(text(t, manPage), ".Sh FILTERS") // other files have other words
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\.It Ic ([a-z0-9_.]+)`).FindAllStringSubmatch(page, -1) {
		got = append(got, m[1])
	}
	want := defaultWords()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-config +man page):\n%s", diff)
	}
	// Examples work as they stand.
	for _, m := range regexp.MustCompile(`(?s)\.Bd -literal.*?\n(.*?)\.Ed`).FindAllStringSubmatch(page, -1) {
		mustParse(t, m[1])
	}
}
