package dbusapi_test

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5/introspect"
)

// examples returns the busctl lines of org.exile1(5), as words.
func examples(t *testing.T) [][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/man/org.exile1.5")
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile(`"[^"]*"|\S+`)
	var all [][]string
	for _, m := range regexp.MustCompile(`(?m)^\.Dl busctl (.*)$`).FindAllStringSubmatch(string(page), -1) {
		var words []string
		for _, w := range word.FindAllString(strings.ReplaceAll(m[1], `\&"`, `"`), -1) {
			words = append(words, strings.Trim(w, `"`))
		}
		all = append(all, words)
	}
	if len(all) < 5 {
		t.Fatalf("org.exile1(5) has %d lines with busctl", len(all))
	}
	return all
}

// What the manual says to type works, in the order of the page.
func TestExamplesOfTheManual(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root may without polkit")
	}
	h := start(t)
	for _, args := range examples(t) {
		if args[0] == "monitor" { // never ends
			continue
		}
		if out, err := h.busctl(t, false, args...); err != nil {
			t.Errorf("busctl %q: %v: %s", args, err, out)
		}
	}
}

// Each method is called by exilectl or the panel, or the manual shows how to call it with busctl.
func TestEveryMethodHasAUser(t *testing.T) {
	t.Parallel()
	used := map[string]bool{
		"Unsubscribe": true, // belongs to Subscribe
	}
	var sources []string
	for _, pattern := range []string{"client/*.go", "../cockpit/exile/*.js"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		sources = append(sources, files...)
	}
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		call := regexp.MustCompile(`(?:call|callFile|callMany|command|describe|forget)\(.*?"([A-Z]\w+)"|callObject\(.*JailInterface, "(\w+)"`)
		for _, m := range call.FindAllSubmatch(text, -1) {
			if used[string(m[1])] = true; len(m[2]) > 0 {
				used["Jail."+string(m[2])] = true
			}
		}
	}
	for _, args := range examples(t) {
		if args[0] == "call" {
			used[strings.TrimPrefix(args[3], "org.exile1.")+"."+args[4]] = true
		}
	}
	for _, name := range []string{"Manager", "Jail"} {
		text, err := os.ReadFile("../units/dbus/org.exile1." + name + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		var n introspect.Node
		if err := xml.Unmarshal(text, &n); err != nil {
			t.Fatal(err)
		}
		for _, m := range n.Interfaces[0].Methods {
			if !used[name+"."+m.Name] && (name == "Jail" || !used[m.Name]) {
				t.Errorf("nobody calls %s.%s: show it in the examples of org.exile1(5), or take it away", name, m.Name)
			}
		}
	}
}
