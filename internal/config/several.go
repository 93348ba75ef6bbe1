package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"exile/jail"
	"exile/jail/filter"
	"exile/jail/filter/services"
	"exile/journal"
)

// This file gives jails what the files of their filters say.

// Part is a filter of a jail, and whose lines it reads. Lines that are not of these senders it never sees, whatever the jail's other
// filters read.
type Part struct {
	Filter      string
	Service     *services.Service // the filter, if it comes from a file
	Units       []string          // names and patterns of units
	Identifiers []string          // syslog identifiers
	TrustStdout bool              // lines that a unit printed count, too
	LogPath     []string          // absolute paths and patterns of text logs
	LogFormat   string            // FormatDocker, or empty: as the filter has it
	Match       journal.Selector  // in place of Units and Identifiers; empty: these
	Containers  jail.Containers   // likewise; its Owner is also that of Match
}

// senders are the keys that say whose lines a filter reads. Where the jail has them, they hold for all its filters.
var senders = []string{"units", "identifiers", "trust_stdout", "logpath", "logformat", "match", "containers", "owner"}

// SSHD reports whether the jail is one for OpenSSH.
func (j *Jail) SSHD() bool { return slices.Equal(j.Filters, []string{"sshd"}) }

// use gives the jails whose filters are files what these say of the services, unless the jail says something else.
func (t *tree) use(own filters) problems {
	var ps problems
	for name, s := range t.jails {
		if name == recidive || t.builtin.jails[only(t.filter(name))] != nil {
			continue
		}
		var used []*services.Service
		for _, filter := range t.filters(name) {
			service, err := t.load(own, filter)
			switch {
			case err != nil && t.enabled(name):
				ps = append(ps, fmt.Errorf("jail %q: %w", name, err))
				t.broken[name] = true
			case service != nil:
				used = append(used, service)
			}
		}
		for key, v := range together(used) {
			if _, has := s[key]; !has {
				s[key] = v
			}
		}
	}
	return ps
}

// load returns the filter of that name, which is read once. It returns nil if no file has it.
func (t *tree) load(own filters, name string) (*services.Service, error) {
	if s, known := t.services[name]; known {
		return s, nil
	}
	s, err := own.find(name)
	if err == nil {
		t.services[name] = s
	}
	return s, err
}

// filter returns what names the filters of a jail.
func (t *tree) filter(name string) value {
	if v, ok := t.lookup(name, "filter"); ok && v.kind != null {
		return v
	}
	return value{node: node{kind: scalar, text: name}}
}

// filters returns the names of the filters of a jail; none if they are not names.
func (t *tree) filters(name string) []string {
	all, err := parseNames(t.filter(name))
	if err != nil {
		return nil // jail reports it
	}
	return all
}

// only returns the single word of a value, or nothing.
func only(v value) string {
	if words, err := v.words(); err == nil && len(words) == 1 {
		return words[0]
	}
	return ""
}

func (t *tree) enabled(name string) bool {
	v, ok := t.lookup(name, "enabled")
	var j Jail
	return ok && parseEnabled(&j, v) == nil && j.Enabled
}

// together is what several filters say, as keys of a jail: lists have what one of them has. Limits are there if all say the same.
func together(all []*services.Service) section {
	if len(all) == 1 {
		return values(all[0])
	}
	out := section{}
	for _, s := range all {
		for key, v := range values(s) {
			sum, has := out[key]
			if has {
				v.file = sum.file + ", " + v.file
				v.items = distinct(sum.items, v.items)
			}
			v.shared = true
			out[key] = v
		}
	}
	if slices.ContainsFunc(all, func(s *services.Service) bool { return len(s.Ports) == 0 }) {
		delete(out, "port") // one of them closes everything
	}
	if !sameLimits(all) {
		delete(out, "maxretry")
		delete(out, "findtime")
	}
	return out
}

// distinct returns the items of both lists, each once.
func distinct(a, b []node) []node {
	out := slices.Clone(a)
	for _, item := range b {
		if !slices.ContainsFunc(out, func(o node) bool { return o.text == item.text }) {
			out = append(out, item)
		}
	}
	return out
}

func sameLimits(all []*services.Service) bool {
	return !slices.ContainsFunc(all, func(s *services.Service) bool {
		return s.MaxRetry != all[0].MaxRetry || s.FindTime != all[0].FindTime
	})
}

// parts returns the filters of a jail with whose lines they read. Mistakes in the words were reported.
func (t *tree) parts(name string, j *Jail) (all []Part) {
	for _, filter := range j.Filters {
		s := t.services[filter]
		if t.builtin.jails[filter] != nil {
			s = nil
		}
		var one Jail
		for _, w := range jailWords() {
			if !slices.Contains(senders, w.name) {
				continue
			}
			v, ok := t.lookup(name, w.name)
			if v.shared && s != nil {
				v, ok = values(s)[w.name]
			}
			if ok {
				_ = w.set(&one, v)
			}
		}
		all = append(all, Part{
			Filter: filter, Service: s, Units: one.Units, Identifiers: one.Identifiers, TrustStdout: one.TrustStdout, LogPath: one.LogPath,
			LogFormat: one.LogFormat, Match: one.Match, Containers: one.Containers,
		})
	}
	return all
}

// knownFilter reports an enabled jail with a filter that does not exist, at the place where the filter or else the jail is named.
func (t *tree) knownFilter(j Jail) error {
	if !j.Enabled || t.broken[j.Name] {
		return nil
	}
	for i := range j.Parts {
		r := &j.Parts[i]
		if r.Service != nil {
			continue
		}
		_, err := filter.New(r.Filter, filter.Options{Mode: j.Mode, Publickey: j.Publickey})
		if err == nil && len(j.Parts) > 1 {
			err = fmt.Errorf("the filter %s cannot stand beside others: give it a jail of its own", r.Filter)
		}
		if text := formerFilter(r.Filter); err != nil && text != "" {
			err = fmt.Errorf("filter %q: there is no such filter: %s", r.Filter, text)
		}
		if err != nil {
			return t.whereFilter(j.Name).explain(fmt.Sprintf("jail %q", j.Name), err)
		}
	}
	return nil
}

// Risk says how clients can have others banned with the filters of the jail; empty: they cannot, as far as is known.
func (j *Jail) Risk() string {
	var all []string
	for i := range j.Parts {
		if s := j.Parts[i].Service; s != nil && s.Risk() != "" {
			all = append(all, s.Risk())
		}
	}
	return strings.Join(all, "; ")
}

// acceptable reports an enabled jail with whose filter clients can have others banned, unless somebody accepted that.
func (t *tree) acceptable(j Jail) error {
	for i := range j.Parts {
		s := j.Parts[i].Service
		if !j.Enabled || j.Framable || s == nil || s.Risk() == "" || s.Accepted() {
			continue
		}
		return t.whereFilter(j.Name).explain(fmt.Sprintf("jail %q", j.Name), fmt.Errorf(
			"a client could have others banned with the filter %s: %s. Addresses of ignoreip are never banned. To run the jail nevertheless, "+
				"write jails: {%s: {framable: accepted}} in a drop-in", s.Name, s.Risk(), j.Name))
	}
	return nil
}

// whereFilter returns the place where the filters of a jail, or else the jail, are named.
func (t *tree) whereFilter(name string) value {
	if v, ok := t.lookup(name, "filter"); ok {
		return v
	}
	return t.named[name]
}

// agreed reports an enabled jail whose filters cannot be one jail unless that says more.
func (t *tree) agreed(j Jail) error {
	var used []*services.Service
	for _, r := range j.Parts {
		if r.Service != nil {
			used = append(used, r.Service)
		}
	}
	if !j.Enabled || len(used) < 2 || len(used) < len(j.Parts) {
		return nil
	}
	where, what := t.whereFilter(j.Name), fmt.Sprintf("jail %q", j.Name)
	section := t.jails[j.Name]
	_, retry := section["maxretry"]
	_, find := section["findtime"]
	if !sameLimits(used) && (!retry || !find) {
		return where.explain(what, errors.New("its filters count differently ("+limits(used)+
			"): set maxretry: and findtime: in the jail, or give each filter a jail of its own"))
	}
	form := func(s *services.Service) bool { return s.Form != used[0].Form }
	if v, own := section["logpath"]; own && !v.shared && slices.ContainsFunc(used, form) {
		return v.explain("logpath", errors.New("the filters of the jail read logs of different forms (see form: in their files): "+
			"leave it out, or give each filter a jail of its own"))
	}
	for i, p := range j.Parts {
		for _, q := range j.Parts[:i] {
			if p.Service.Form != q.Service.Form && shareLog(p.LogPath, q.LogPath) {
				return where.explain(what, fmt.Errorf("the filters %s and %s read the same log in different forms: give each a jail of its own", q.Filter, p.Filter))
			}
		}
	}
	return nil
}

// shareLog reports whether paths and patterns name the same log, as far as one of the two is its name.
func shareLog(a, b []string) bool {
	return slices.ContainsFunc(a, func(one string) bool {
		return slices.ContainsFunc(b, func(other string) bool {
			forth, _ := filepath.Match(one, other) // patterns were checked
			back, _ := filepath.Match(other, one)
			return forth || back || one == other
		})
	})
}

// limits says how filters count, those that say it.
func limits(all []*services.Service) string {
	var parts []string
	for _, s := range all {
		text := s.Name + " as other jails"
		if s.MaxRetry > 0 || s.FindTime != "" {
			text = fmt.Sprintf("%s %d in %s", s.Name, s.MaxRetry, s.FindTime)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// values are what the file of a filter says, as keys of a jail.
func values(s *services.Service) section {
	out := section{}
	set := func(key string, n node) {
		out[key] = value{node: n, file: "filter " + s.File}
	}
	lists := map[string][]string{"units": s.Units, "identifiers": s.Identifiers, "logpath": s.LogPath, "port": s.Ports}
	for key, words := range lists {
		if len(words) == 0 {
			continue
		}
		n := node{kind: list}
		for _, w := range words {
			n.items = append(n.items, node{kind: scalar, text: w})
		}
		set(key, n)
	}
	if s.MaxRetry > 0 {
		set("maxretry", node{kind: scalar, text: strconv.Itoa(s.MaxRetry)})
	}
	if s.FindTime != "" {
		set("findtime", node{kind: scalar, text: s.FindTime})
	}
	if s.Stdout {
		set("trust_stdout", node{kind: scalar, text: "true"})
	}
	return out
}
