package fail2ban

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"exile/internal/fail2ban/python"
)

// This file reads what a filter of fail2ban says, with all that it refers to.

// definition is a filter's file, and what the jail says of it.
type definition struct {
	source
	setup *Setup
}

// filterNames are the files of a filter, in the order in which fail2ban reads them.
func (s *Setup) filterNames(name string) (names []string, err error) {
	if name != path.Base(name) || name == "." || name == ".." {
		return nil, nil
	}
	for _, suffix := range []string{".conf", ".local"} {
		if file := path.Join(s.dir, "filter.d", name+suffix); s.exists(file) {
			names = append(names, file)
		}
		more, err := s.folder(path.Join("filter.d", name+".d"), suffix)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}

// definition is one that says nothing yet.
func (s *Setup) definition() *definition {
	of := &Setup{
		sections: map[string]section{}, known: map[string]section{}, places: map[string]Place{}, defaults: section{}, docs: s.docs,
		files: s.files, dir: s.dir, work: s.work, total: s.total,
	}
	return &definition{setup: of, source: source{
		setup: of, name: "Definition", used: map[string]bool{}, given: map[string]value{}, prefix: string(python.PrefixMark),
	}}
}

// define reads the filter of that name. It returns nil if there are no files of it.
func (s *Setup) define(f call, at Place) (*definition, error) {
	names, err := s.filterNames(f.name)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	d := s.definition()
	of := d.setup
	for _, name := range names {
		if err := of.include(name, nil); err != nil {
			return nil, err
		}
	}
	s.total = of.total
	for _, key := range f.keys {
		d.given[key] = value{text: f.options[key], at: at}
	}
	for key, v := range of.sections["Init"] {
		if _, ok := d.given[key]; !ok {
			d.given[key] = v
		}
	}
	return d, nil
}

// done gives back what is left of the limit on work.
func (d *definition) done(s *Setup) { s.work = d.setup.work }

var angled = regexp.MustCompile(`<([^ <>]+)>`)

// maxTags is how often a tag may be replaced: fail2ban's own limit.
const maxTags = 25

// text returns the value of a key, with all that it refers to.
func (d *definition) text(key string) (value, bool, error) {
	v, ok, err := d.get(key)
	if !ok || err != nil {
		return v, ok, err
	}
	v.text, err = d.replaced(v.text)
	return v, true, err
}

// replaced replaces the tags of a text by what they are defined as. Those that are not defined stay.
func (d *definition) replaced(text string) (string, error) {
	counts := map[string]int{}
	for at := 0; at < len(text); {
		m := angled.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		name := text[at+m[2] : at+m[3]]
		part, ok, err := d.tag(name)
		if err != nil {
			return "", err
		}
		if !ok {
			at += m[1]
			continue
		}
		if counts[name]++; counts[name] > maxTags {
			return "", errTooMuch
		}
		tag := "<" + name + ">"
		if d.setup.work -= perPart + len(text) + strings.Count(text, tag)*len(part); d.setup.work < 0 || len(text)+strings.Count(text, tag)*len(part) > maxValue {
			return "", errTooMuch
		}
		// A tag may only become one with the text around it.
		text, at = strings.ReplaceAll(text, tag, part), max(0, strings.LastIndexByte(text[:at+m[0]], '<'))
	}
	return text, nil
}

// tag returns what a tag is defined as: key, known/key, or section/key.
func (d *definition) tag(name string) (string, bool, error) {
	where, key, other := strings.Cut(name, "/")
	if !other || where == "" || key == "" {
		if strings.HasPrefix(name, "F-") || slices.Contains([]string{"HOST", "ADDR", "IP4", "IP6", "DNS", "CIDR", "SUBNET", "SKIPLINES"}, name) {
			return "", false, nil
		}
		v, ok, err := d.get(strings.ToLower(name))
		return v.text, ok, err
	}
	from := d.source
	from.given = nil
	switch where {
	case "known":
		if v, ok := d.setup.known[d.name][key]; ok {
			return v.text, true, nil
		}
	case "default":
		from.name = ""
	default:
		if d.setup.sections[where] == nil {
			return "", false, nil
		}
		from.name = where
	}
	v, ok, err := from.get(strings.ToLower(key))
	d.setup.work = from.setup.work
	return v.text, ok, err
}

// lines returns the expressions of a key, one in a line.
func (d *definition) lines(key string) (value, []string, error) {
	v, ok, err := d.text(key)
	if !ok || err != nil {
		return v, nil, err
	}
	var out []string
	for l := range strings.SplitSeq(v.text, "\n") {
		if strings.TrimSpace(l) != "" {
			out = append(out, l)
		}
	}
	if len(out) > maxLines {
		return v, nil, errors.New("it has more lines than a filter may have patterns here, 200")
	}
	return v, out, nil
}

// maxLines is how many patterns a filter of exile may have.
const maxLines = 200
