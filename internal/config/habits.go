package config

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// This file says what people meant who wrote a file in the habits of another program.

// notText tells of a file that is no text in UTF-8, which YAML is; nil if it is.
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
	case bytes.IndexByte(data, 0) >= 0:
		return problem(file, 1+bytes.Count(data[:bytes.IndexByte(data, 0)], []byte("\n")), "this line has a NUL byte: it is not text")
	}
	return nil
}

var (
	iniSection    = regexp.MustCompile(`^\s*\[[A-Za-z0-9._-]+\]\s*(#.*)?$`)
	iniAssignment = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9_.-]*)\s*=\s*([^#]*)`)
	iniVariable   = regexp.MustCompile(`%\([A-Za-z0-9_]+\)s`)
)

// meant returns what is wrong with a file that is not the YAML that we want, where it is known better than by the parser.
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
			return problem(file, i+1, "%s begins a section of an INI file: exile.yaml is YAML, write the jail's name with a colon, "+
				`"sshd:", under "jails:", and its words indented below it, as in "maxretry: 5"`, strings.TrimSpace(line))
		case iniAssignment.MatchString(line):
			return assignment(file, i+1, line)
		case iniVariable.MatchString(line):
			return problem(file, i+1, "%s is a variable of fail2ban's files: write its value", iniVariable.FindString(line))
		case indent > last && !blocks:
			return problem(file, i+1, "this line is indented by %d blanks, and nothing above it that it could belong to is: "+
				"lines that belong together begin in one column", indent)
		case indent > last:
			levels = append(levels, indent)
		}
		blocks = strings.HasSuffix(strings.TrimSpace(text), ":") || strings.HasPrefix(text, "-")
	}
	return nil
}

func assignment(file string, number int, line string) error {
	m := iniAssignment.FindStringSubmatch(line)
	return problem(file, number, `%q: write it with a colon, as in "%s: %s"`, strings.TrimSpace(line), m[1], strings.TrimSpace(m[2]))
}

// unknownWord says that a key means nothing. For YAML "sshd:" and a line "maxretry = 3" below it are one key and its value.
func (v value) unknownWord(key string, valid []string, where string) error {
	if v.kind == scalar && iniAssignment.MatchString(v.text) {
		return assignment(v.file, v.line, v.text)
	}
	return problem(v.file, v.line, "%s%s", unknown(key, valid), where)
}
