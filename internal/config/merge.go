package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// section is what one part of the files says, by key.
type section map[string]value

// tree is all files merged: of each key the value of the last file that names it.
type tree struct {
	globals  section
	defaults section
	jails    map[string]section
	named    map[string]value  // where each jail was named last
	taught   map[string]string // by which word of a tutorial the detection of a jail was chosen
	builtin  *tree             // what null falls back to; empty for the built-in tree itself
}

// maxJails bounds what a file can make the daemon do.
const maxJails = 256

func newTree(builtin *tree) *tree {
	t := &tree{globals: section{}, defaults: section{}, jails: map[string]section{}, named: map[string]value{}, taught: map[string]string{}, builtin: builtin}
	maps.Copy(t.globals, builtin.globals)
	maps.Copy(t.defaults, builtin.defaults)
	for name, s := range builtin.jails {
		t.jails[name] = maps.Clone(s)
	}
	return t
}

// merge puts a file over what is there. Words of a jail at the top of the file are defaults, and a mapping at the top is
// a jail, so that a file can be as flat as the ones people know.
func (t *tree) merge(file string, layer int, root node) problems {
	var ps problems
	if root.kind == null {
		return nil
	}
	if root.kind != mapping {
		return problems{problem(file, root.line, "a mapping of keys to values is wanted at the top")}
	}
	for _, p := range root.pairs {
		v := value{node: p.value, file: file, layer: layer}
		v.line = p.line
		switch {
		case p.key == "defaults" || p.key == "DEFAULT":
			ps = append(ps, t.mergeDefaults(v)...)
		case p.key == "jails":
			ps = append(ps, t.mergeJails(v)...)
		case p.value.kind == mapping && nearest(p.key, topWords()) == "", p.value.kind == null && t.jails[p.key] != nil:
			ps = append(ps, t.mergeJail(p.key, v)...)
		default:
			ps.add(t.setDefault(p.key, v, topWords()))
		}
	}
	return ps
}

func topWords() []string { return append([]string{"defaults", "jails"}, defaultWords()...) }

func defaultWords() []string { return append(names(globalWords()), names(jailWords())...) }

func (t *tree) mergeDefaults(v value) (ps problems) {
	pairs, err := v.mapping()
	ps.add(err)
	for _, p := range pairs {
		ps.add(t.setDefault(p.key, v.at(p), defaultWords()))
	}
	return ps
}

// setDefault sets a word of the daemon or the default of a word of the jails.
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
		ps = append(ps, t.mergeJail(p.key, v.at(p))...)
	}
	return ps
}

func (t *tree) mergeJail(name string, v value) (ps problems) {
	if !isName(name) {
		return problems{problem(v.file, v.line, "%q is no name for a jail: at most 64 small letters, digits, and .-_ inside", name)}
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
		}
		return problem(v.file, v.line, "%q is for the whole daemon: put it at the top of the file%s", key, hint)
	}
	return v.unknownWord(key, names(jailWords()), fmt.Sprintf(" in jail %q", name))
}

// set stores a value; null takes back what files have said.
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

// mapping is the content of a section that may be empty.
func (v value) mapping() ([]pair, error) {
	if v.kind == mapping || v.kind == null {
		return v.pairs, nil
	}
	return nil, problem(v.file, v.line, "keys and values are wanted here, not one value or a list")
}

// at is the value of a pair inside v.
func (v value) at(p pair) value {
	inner := value{node: p.value, file: v.file, layer: v.layer}
	inner.line = p.line
	return inner
}

// inherit gives jails with the filter of a built-in jail that jail's service and detector, unless a file says something else of
// the jail or of all jails.
func (t *tree) inherit() {
	for _, s := range t.jails {
		service := t.builtin.jails[s["filter"].text]
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

// lookup is what holds for a jail: its own word, or the default.
func (t *tree) lookup(name, key string) (value, bool) {
	if v, ok := t.jails[name][key]; ok {
		return v, true
	}
	v, ok := t.defaults[key]
	return v, ok
}
