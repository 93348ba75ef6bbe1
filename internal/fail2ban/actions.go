package fail2ban

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// actions finds what bans, and reports what else would be done. What options say is not shown: it may be secret.
func (j *job) actions() *refusal {
	v, ok := j.read("action")
	if !ok {
		v, ok = j.read("banaction")
	}
	calls, others := parseCalls(v.text), false
	for _, c := range calls {
		switch useOf(c) {
		case useBan:
			if letsIn(c) {
				return &refusal{v.at, "its action lets addresses in, and does not ban them", ""}
			}
			j.ban(c, v.at)
		case useMail:
			j.left(v.at, "mail is not moved: the action "+quoted(c.name), "write mail: into a file of /etc/exile/actions.d, see exiled-actions.service(8)")
		case useReport:
			j.left(v.at, "reports are not moved: the action "+quoted(c.name), "write a file of /etc/exile/actions.d, see exiled-actions.service(8)")
		case useElsewhere:
			others = true
			j.left(v.at, "what bans elsewhere is not moved: the action "+quoted(c.name), "for a server behind a proxy, see deny_list and cloudflare in exiled-actions.service(8)")
		case useOwn:
			others = true
			j.left(v.at, j.ownAction(c), "write a file of /etc/exile/actions.d, see exiled-actions.service(8)")
		case useNothing:
		}
	}
	if ok && len(j.bans) == 0 && !others && j.filter != recidive {
		j.set("simulate", "true")
		j.changed(v.at, "no action of fail2ban's bans, so the jail only announces: simulate", "remove simulate for bans")
	}
	return nil
}

// letsIn reports whether an action does the opposite of a ban.
func letsIn(c call) bool {
	switch strings.ToUpper(c.options["blocktype"]) {
	case "ACCEPT", "RETURN":
		return true
	}
	return false
}

func (j *job) ownAction(c call) string {
	if !isWord(c.name) {
		return "this is no action: " + quoted(c.name)
	}
	for _, suffix := range []string{".conf", ".local"} {
		if file := path.Join(j.setup.dir, "action.d", c.name+suffix); j.setup.exists(file) {
			return "an action of your own is not run: " + quoted(c.name) + ", in " + j.setup.shown(file)
		}
	}
	return "there is no action " + quoted(c.name)
}

func isWord(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}

// ban takes an action that bans.
func (j *job) ban(c call, at Place) {
	j.bans = append(j.bans, c)
	j.backends[backendOf(c)] = true
	if j.setup.exists(path.Join(j.setup.dir, "action.d", c.name+".local")) {
		j.left(at, "what action.d/"+c.name+".local changes was not read", "")
	}
	for _, key := range c.keys {
		switch text := c.options[key]; key {
		case "name", "port", "protocol", "type", "bantime", "actname":
		case "chain":
			j.chain(text, at)
		default:
			j.left(at, "the option "+quoted(key)+" of the action "+c.name+" has no counterpart", "")
		}
	}
}

// chain reports a chain of which exile is not a part: it bans before all of them, also what is forwarded.
func (j *job) chain(name string, at Place) {
	switch strings.ToUpper(name) {
	case "", "INPUT", "FORWARD", "DOCKER-USER", "<KNOWN/CHAIN>":
		return
	}
	j.changed(at, "a ban is for everything that comes in or is forwarded, not for the chain "+quoted(name), "")
}

// backend is the one that all actions name, if exile has it.
func (m *mover) backend() string {
	names := slices.Sorted(maps.Keys(m.backends))
	switch {
	case len(names) == 1 && names[0] == "route":
		m.closeAll()
		return names[0]
	case len(names) == 1 && names[0] != "auto":
		return names[0]
	case len(names) > 1:
		m.note(Note{
			Kind: Changed, At: Place{File: m.from.shown(m.from.dir)},
			Text: fmt.Sprintf("all jails ban in one way here; the actions name %s", strings.Join(names, ", ")), Advice: "backend: auto chooses",
		})
	}
	return ""
}

// closeAll has each jail close every port: the backend route cannot do less.
func (m *mover) closeAll() {
	for i := range m.jails {
		e := &m.jails[i]
		if e.name == recidive {
			continue
		}
		e.words = slices.DeleteFunc(e.words, func(w word) bool { return w.key == "port" })
		e.words = append(e.words, word{"port", "all"})
	}
}
