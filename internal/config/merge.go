package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"exile/jail/filter/services"
)

// section holds the values of one part of the files, by key.
type section map[string]value

// tree is all files merged: each key has the value of the last file that sets it.
type tree struct {
	globals  section
	defaults section
	jails    map[string]section
	named    map[string]value             // the last place where each jail is named
	taught   map[string]string            // the key of a tutorial that chose the detection of a jail
	services map[string]*services.Service // the filters from files, by name
	broken   map[string]bool              // jails with a filter that has mistakes, which were reported
	host     host
	builtin  *tree // what null resets to; empty for the built-in tree itself
}

// maxJails limits how much work a file can cause.
const maxJails = 256

func newTree(builtin *tree) *tree {
	t := &tree{globals: section{}, defaults: section{}, jails: map[string]section{}, named: map[string]value{}, taught: map[string]string{}, services: map[string]*services.Service{}, broken: map[string]bool{}, host: builtin.host, builtin: builtin}
	maps.Copy(t.globals, builtin.globals)
	maps.Copy(t.defaults, builtin.defaults)
	for name, s := range builtin.jails {
		t.jails[name] = maps.Clone(s)
	}
	return t
}

// merge merges a file over the previous ones. Keys of a jail at the top of the file are defaults, and a mapping at the top is a jail, so that a
// file can be as flat as those that people know.
func (t *tree) merge(file string, layer int, root node) problems {
	var ps problems
	if root.kind == null {
		return nil
	}
	if root.kind != mapping {
		return problems{problem(file, root.line, "a mapping of keys to values is wanted at the top")}
	}
	for _, p := range root.pairs {
		v := value{file: file, layer: layer}.at(p)
		switch {
		case p.key == "defaults" || p.key == "DEFAULT":
			ps = append(ps, t.mergeDefaults(v)...)
		case p.key == "jails":
			ps = append(ps, t.mergeJails(v)...)
		case p.value.kind == mapping && nearest(p.key, mistakable()) == "" && flattened(p.key, v) == "", p.value.kind != mapping && t.jails[p.key] != nil:
			ps = append(ps, t.mergeJail(p.key, v)...)
		default:
			ps.add(t.setDefault(p.key, v, slices.AppendSeq(topWords(), maps.Keys(t.jails))))
		}
	}
	return ps
}

func topWords() []string { return append([]string{"defaults", "jails"}, defaultWords()...) }

// mistakable are the words at the top that the name of a jail may be meant for. Of those that take no mapping, short ones are too much like names of
// jails.
func mistakable() []string {
	return slices.DeleteFunc(topWords(), func(w string) bool { return w == "owner" || w == "match" })
}

func defaultWords() []string { return append(names(globalWords()), names(jailWords())...) }

func (t *tree) mergeDefaults(v value) (ps problems) {
	pairs, err := v.mapping()
	ps.add(err)
	for _, p := range pairs {
		ps.add(t.setDefault(p.key, v.at(p), defaultWords()))
	}
	return ps
}

// setDefault sets a key of the daemon, or the default of a key of the jails.
func (t *tree) setDefault(key string, v value, valid []string) error {
	if slices.Contains(names(globalWords()), key) {
		t.globals.set(key, v, t.builtin.globals)
		return nil
	}
	if slices.Contains(names(jailWords()), key) {
		t.defaults.set(key, v, t.builtin.defaults)
		return nil
	}
	return v.unknownWord(key, valid, "")
}

func recidiveWords() []string { return []string{"enabled", "maxretry", "findtime", "bantime"} }

func (t *tree) mergeJails(v value) (ps problems) {
	pairs, err := v.mapping()
	ps.add(err)
	for _, p := range pairs {
		if inner := v.at(p); p.value.kind != mapping && slices.Contains(defaultWords(), p.key) {
			ps.add(inner.misplaced(p.key))
		} else {
			ps = append(ps, t.mergeJail(p.key, inner)...)
		}
	}
	return ps
}

// misplaced says where a key belongs that was found in the place of a jail.
func (v value) misplaced(key string) error {
	if slices.Contains(names(globalWords()), key) {
		return problem(v.file, v.line, "%q is for the whole daemon: put it at the top of the file", key)
	}
	return problem(v.file, v.line, "%q is a word of a jail and stands beside jails: indent it below the name of its jail, or put it below defaults:", key)
}

func (t *tree) mergeJail(name string, v value) (ps problems) {
	if !isName(name) {
		meant := ""
		if small := strings.ToLower(name); isName(small) {
			meant = fmt.Sprintf("; did you mean %q?", small)
		}
		return problems{problem(v.file, v.line, "%q is no name for a jail: at most 64 small letters, digits, and .-_ inside%s", name, meant)}
	}
	if _, ok := t.jails[name]; !ok && len(t.jails) >= maxJails {
		return problems{problem(v.file, v.line, "more than %d jails", maxJails)}
	}
	pairs, err := v.mapping()
	ps.add(err)
	if t.jails[name] == nil {
		t.jails[name] = section{}
	}
	t.named[name] = v
	for _, p := range pairs {
		ps.add(t.setInJail(name, p.key, v.at(p)))
	}
	return ps
}

func (t *tree) setInJail(name, key string, v value) error {
	if name == recidive && !slices.Contains(recidiveWords(), key) {
		return problem(v.file, v.line, "%q has no meaning in %s, which is a rule and knows %s",
			key, recidive, strings.Join(recidiveWords(), ", "))
	}
	if slices.Contains(names(jailWords()), key) {
		t.jails[name].set(key, v, t.builtin.jails[name])
		return nil
	}
	if slices.Contains(names(globalWords()), key) {
		hint := ""
		if key == "backend" {
			hint = "; a jail reads the journal, or the files that logpath names"
			if text := translated(key, v); text != "" {
				return problem(v.file, v.line, "%s: %q: %s", key, v.text, text)
			}
		}
		return problem(v.file, v.line, "%q is for the whole daemon: put it at the top of the file%s", key, hint)
	}
	return v.unknownWord(key, names(jailWords()), fmt.Sprintf(" in jail %q", name))
}

// set stores a value; null undoes what previous files have set.
func (s section) set(key string, v value, builtin section) {
	if v.kind != null {
		s[key] = v
		return
	}
	delete(s, key)
	if b, ok := builtin[key]; ok {
		s[key] = b
	}
}

// mapping returns the content of a section, which may be empty.
func (v value) mapping() ([]pair, error) {
	switch v.kind {
	case mapping, null:
		return v.pairs, nil
	case list:
		return nil, problem(v.file, v.begins, "keys and values are wanted here, not a list: write names with a colon, and without a dash")
	case scalar:
	}
	if err := habit(v.file, v.begins, v.text); err != nil {
		return nil, err
	}
	return nil, problem(v.file, v.line, `keys and values are wanted here, not one value: write them below, indented, as in "enabled: yes"`)
}

// at returns the value of a pair inside v.
func (v value) at(p pair) value {
	inner := value{node: p.value, file: v.file, layer: v.layer, begins: p.value.line}
	inner.line = p.line
	return inner
}

// inherit gives a jail with the filter of a built-in jail the service and detector of that jail, unless a file sets something else for the
// jail or for all jails.
func (t *tree) inherit() {
	for _, s := range t.jails {
		service := t.builtin.jails[only(s["filter"])]
		for _, key := range []string{"units", "identifiers", "detection"} {
			own, has := s[key]
			v, ok := service[key]
			switch {
			case !ok || has && own.layer > 0:
			case t.defaults[key].layer > 0:
				delete(s, key)
			default:
				s[key] = v
			}
		}
	}
}

// lookup returns the value for a jail: its own, or the default.
func (t *tree) lookup(name, key string) (value, bool) {
	if v, ok := t.jails[name][key]; ok {
		return v, true
	}
	v, ok := t.defaults[key]
	return v, ok
}
