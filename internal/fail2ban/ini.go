package fail2ban

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file reads one file as Python's ConfigParser does with the options that fail2ban gives it.

// document is one file.
type document struct {
	sections map[string]section
	places   map[string]Place // of the sections
	order    []string         // of the sections
	notes    []Note
	more     int // notes beyond the first
	size     int // bytes
}

// defaultSection is the section whose keys all jails have.
const defaultSection = "DEFAULT"

// lineReader is the state between two lines.
type lineReader struct {
	doc     *document
	file    string
	line    int
	section section
	key     string // whose value may go on
	indent  int    // of that key
	stock   bool
}

var (
	template = regexp.MustCompile(`^\s*\{%|\{\{.*\}\}`)
	assigned = regexp.MustCompile(`^([\w.-]+)\s*[=:]`)
)

// parse reads a file. It goes on after a mistake for which fail2ban would refuse the file, and reports it.
func parse(file, text string, stock bool) (*document, error) {
	r := &lineReader{doc: &document{sections: map[string]section{}, places: map[string]Place{}, size: len(text)}, file: file, stock: stock}
	if !utf8.ValidString(text) {
		r.note("fail2ban refuses this file, which is not text in UTF-8", "save it in UTF-8")
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	for raw := range strings.Lines(strings.TrimPrefix(text, "\uFEFF")) {
		r.line++
		line := strings.TrimRight(raw, "\r\n")
		full := strings.TrimSpace(line)
		if strings.HasPrefix(full, "#") || strings.HasPrefix(full, ";") {
			continue
		}
		if template.MatchString(line) {
			return nil, fmt.Errorf("%s is a template, not a configuration: render it first", Place{file, r.line})
		}
		r.read(uncomment(line), full == "")
	}
	for _, s := range r.doc.sections {
		for key, v := range s {
			v.text = strings.TrimRightFunc(v.text, unicode.IsSpace)
			s[key] = v
		}
	}
	return r.doc, nil
}

// uncomment cuts off a comment that a semicolon begins. A hash sign begins none.
func uncomment(line string) string {
	for i := range len(line) {
		if line[i] == ';' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

func (r *lineReader) read(line string, empty bool) {
	text := strings.TrimSpace(line)
	if text == "" {
		if empty && r.key != "" {
			r.more("")
		}
		return
	}
	indent := len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
	if r.key != "" && indent > r.indent {
		r.suspect(text)
		r.more(text)
		return
	}
	r.indent = indent
	end := strings.LastIndexByte(text, ']')
	if text[0] == '[' && end > 1 {
		r.begin(text[1:end])
		return
	}
	r.assign(text)
}

// more continues the value of the last key.
func (r *lineReader) more(text string) {
	v := r.section[r.key]
	if len(v.text) < maxValue {
		v.text += "\n" + text
	}
	r.section[r.key] = v
}

// suspect reports a line that looks like something else than the continuation that it is.
func (r *lineReader) suspect(text string) {
	m := assigned.FindStringSubmatch(text)
	header := text[0] == '[' && strings.HasSuffix(text, "]") && !strings.ContainsAny(text, "=:")
	if header || m != nil && isKey(strings.ToLower(m[1])) {
		r.note(fmt.Sprintf("this line is indented: it belongs to the value of %s, whatever it looks like", quoted(r.key)), "remove the blanks in front of it")
	}
}

func (r *lineReader) begin(name string) {
	if r.doc.places[name] = (Place{r.file, r.line}); r.doc.sections[name] == nil {
		r.doc.sections[name] = section{}
		r.doc.order = append(r.doc.order, name)
	} else {
		r.note(fmt.Sprintf("the section %s is there twice, and fail2ban refuses the file; both were read", quoted(name)), "")
	}
	r.section, r.key = r.doc.sections[name], ""
}

func (r *lineReader) assign(text string) {
	i := strings.IndexAny(text, "=:")
	if i < 1 {
		r.key = ""
		r.note("fail2ban refuses the file for this line, which is no key and no section", "remove it") // it may be secret
		return
	}
	if r.section == nil {
		r.note("fail2ban refuses the file, whose first keys are in no section; they were taken for [DEFAULT]", "")
		r.begin(defaultSection)
	}
	r.key = strings.ToLower(strings.TrimSpace(text[:i]))
	v := value{text: strings.TrimSpace(text[i+1:]), at: Place{r.file, r.line}, stock: r.stock}
	if before, twice := r.section[r.key]; twice {
		what := "the last value was taken"
		if slices.Contains([]string{"action", "logpath"}, r.key) {
			v.text, what = before.text+"\n"+v.text, "both values were taken"
		}
		r.note(fmt.Sprintf("%s is there twice, first in line %d, and fail2ban refuses the file; %s", quoted(r.key), before.at.Line, what), "")
	}
	r.section[r.key] = v
}

// note reports what fail2ban makes of a line that was meant differently.
func (r *lineReader) note(text, advice string) {
	if len(r.doc.notes) >= maxNotes {
		r.doc.more++
		return
	}
	r.doc.notes = append(r.doc.notes, Note{Kind: Changed, At: Place{r.file, r.line}, Text: text, Advice: advice})
}
