package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// This file explains mistakes of people who are used to the configuration of another program.

// notText reports a file that is not UTF-8 text, as YAML has to be.
func notText(file string, data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return problem(file, 0, "this is text in UTF-16: save it in UTF-8")
	case !utf8.Valid(data):
		for i, line := range bytes.Split(data, []byte("\n")) {
			if !utf8.Valid(line) {
				return problem(file, i+1, "this line is not text in UTF-8: save the file in that encoding")
			}
		}
	case 3*bytes.Count(data, []byte{0}) > len(data):
		return problem(file, 0, "this is text in UTF-16: save it in UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return problem(file, 1+bytes.Count(data[:bytes.IndexByte(data, 0)], []byte("\n")), "this line has a NUL byte: it is not text")
	}
	return nil
}

var (
	iniSection    = regexp.MustCompile(`^\s*\[[A-Za-z0-9._-]+\]\s*(#.*)?$`)
	iniAssignment = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9_.-]*)\s*=\s*([^#]*)`)
	iniNext       = regexp.MustCompile(`\s[A-Za-z][A-Za-z0-9_.-]*\s*=`)
	glued         = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9_.-]*):([^\s:/].*)$`)
	bare          = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9_.-]*)\s+([^\s:=].*)$`)
	iniVariable   = regexp.MustCompile(`%\([A-Za-z0-9_]+\)s`)
)

// meant returns what is wrong with a file that is not the expected YAML, if it is known better than by the parser.
func meant(file string, data []byte) error {
	levels, blocks := []int{0}, true
	for i, line := range strings.Split(string(data), "\n") {
		text := strings.TrimLeft(line, " ")
		if text == "" || text[0] == '#' {
			continue
		}
		indent := len(line) - len(text)
		for len(levels) > 1 && levels[len(levels)-1] > indent {
			levels = levels[:len(levels)-1]
		}
		last := levels[len(levels)-1]
		switch {
		case text[0] == '\t':
			return problem(file, i+1, "this line is indented with a tab: YAML takes blanks only")
		case iniSection.MatchString(line):
			header, _, _ := strings.Cut(text, "#")
			header = strings.TrimSpace(header)
			return problem(file, i+1, "%s begins a section of an INI file, and exile.yaml is YAML: %s; exilectl import-fail2ban translates "+
				"what is in /etc/fail2ban", header, sectionOf(header))
		case text[0] == ';':
			return problem(file, i+1, "a comment begins with #")
		case habit(file, i+1, line) != nil:
			return habit(file, i+1, line)
		case iniVariable.MatchString(line):
			return problem(file, i+1, "%s is a variable of fail2ban's files: write its value", iniVariable.FindString(line))
		case indent > last && !blocks:
			return problem(file, i+1, "this line is indented by %d blanks, as no line above it is that it could belong to: "+
				"lines that belong together begin in the same column", indent)
		case indent > last:
			levels = append(levels, indent)
		}
		blocks = strings.HasSuffix(strings.TrimSpace(text), ":") || strings.HasPrefix(text, "-")
	}
	return nil
}

// habit reports a line that sets a key in the syntax of another program. For YAML "sshd:" with such lines below it is one key, and the lines
// are joined to its value.
func habit(file string, number int, line string) error {
	if m := iniAssignment.FindStringSubmatchIndex(line); m != nil {
		if next := iniNext.FindStringIndex(line[m[4]:]); next != nil {
			line = line[:m[4]+next[0]]
		}
		return problem(file, number, `%q: write it with a colon, as in "%s: %s"`, strings.TrimSpace(line), line[m[2]:m[3]],
			strings.TrimSpace(line[m[4]:min(m[5], len(line))]))
	}
	if m := glued.FindStringSubmatch(line); m != nil && slices.Contains(topWords(), m[1]) {
		return problem(file, number, `%q: write a blank behind the colon, as in "%s: %s"`, strings.TrimSpace(line), m[1], m[2])
	}
	if m := bare.FindStringSubmatch(line); m != nil && slices.Contains(topWords(), m[1]) {
		return problem(file, number, `%q: write a colon behind the key, as in "%s: %s"`, strings.TrimSpace(line), m[1], m[2])
	}
	return nil
}

// unknownWord says that a key is unknown; where ends the sentence.
func (v value) unknownWord(key string, valid []string, where string) error {
	if err := habit(v.file, v.line, key); err != nil { // inside braces it is a key without a value
		return err
	}
	if v.kind == scalar {
		if err := habit(v.file, v.begins, v.text); err != nil {
			return err
		}
	}
	if text := flattened(key, v); text != "" {
		return problem(v.file, v.line, "%s: %s", key, text)
	}
	return problem(v.file, v.line, "%s", unknown(key, where, valid))
}

// unclosed returns the last line with a quote that is not closed, or 0.
func unclosed(data []byte) int {
	last := 0
	for i, line := range bytes.Split(data, []byte("\n")) {
		for _, quote := range []string{`"`, "'"} {
			if bytes.Count(line, []byte(quote))%2 == 1 {
				last = i + 1
			}
		}
	}
	return last
}

// hints explain messages of the parser by their most frequent cause.
var hints = map[string]string{
	"did not find expected node content":                    "is a bracket not closed?",
	"did not find expected ',' or ']'":                      "is a bracket not closed?",
	"did not find expected ',' or '}'":                      "is a bracket not closed?",
	"mapping values are not allowed in this context":        "one key in a line; a value with a colon and a blank in quotes",
	"found character that cannot start any token":           "put it in quotes",
	"could not find expected ':'":                           "is a colon missing?",
	"did not find expected key":                             "does it begin in the column of the lines that it belongs to?",
	"did not find expected alphabetic or numeric character": "put a value that begins with * or & in quotes",
}
