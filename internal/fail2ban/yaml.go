package fail2ban

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// This file writes a drop-in for exile.yaml.

// render writes the configuration.
func render(backend string, defaults []word, jails []entry) string {
	var b strings.Builder
	b.WriteString("# Written by exilectl import-fail2ban.\n")
	if backend != "" {
		b.WriteString("backend: " + backend + "\n")
	}
	if len(defaults) > 0 {
		b.WriteString("defaults:\n")
		for _, w := range defaults {
			b.WriteString("  " + w.key + ": " + w.text + "\n")
		}
	}
	if len(jails) > 0 {
		b.WriteString("jails:\n")
	}
	for _, j := range jails {
		b.WriteString("  " + scalar(j.name) + ":\n")
		for _, w := range j.words {
			b.WriteString("    " + w.key + ": " + w.text + "\n")
		}
	}
	return b.String()
}

var plain = regexp.MustCompile(`^([a-z][a-z0-9_-]{3,}|/[A-Za-z0-9_./-]+|[1-9][0-9]{0,8})$`)

// scalar writes a word, in quotes unless it can only be read as this word.
func scalar(s string) string {
	switch {
	case s == "true" || s == "false" || s == "null":
	case plain.MatchString(s), s == "ssh", s == "http", s == "ftp":
		return s
	}
	var b strings.Builder
	enc := json.NewEncoder(&b) // a string of JSON is one of YAML
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return unprintable.ReplaceAllStringFunc(strings.TrimSuffix(b.String(), "\n"), func(c string) string {
		return fmt.Sprintf(`\u%04x`, []rune(c)[0])
	})
}

// unprintable are characters that YAML does not allow, and JSON does.
var unprintable = regexp.MustCompile(`[\x7f-\x{9f}\x{feff}\x{fffe}\x{ffff}]`)

// list writes words in brackets.
func list(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = scalar(w)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// plainName makes the name of a jail of one that exile does not accept.
func plainName(s string) string {
	return cut(strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-_", r) {
			return r
		}
		return '-'
	}, strings.ToLower(s)), ".-")
}

// plainFilterName makes the name of a filter.
func plainFilterName(s string) string {
	return cut(strings.NewReplacer(".", "-", "_", "-").Replace(plainName(s)), "-")
}

func cut(s, edge string) string {
	const most = 64
	if s = strings.TrimLeft(s, edge); s == "" {
		return "jail"
	}
	return s[:min(len(s), most)]
}
