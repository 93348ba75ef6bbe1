package fail2ban

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"exile/internal/fail2ban/python"
	"exile/jail/filter/services"
)

// translation is a filter of fail2ban as one of exile.
type translation struct {
	name     string
	text     string // of its file
	service  *services.Service
	reason   string // what is missing
	framable bool   // a client can have others banned with it
	notes    []Note // without the jails
	no       *refusal
	from     *translator
}

// translator translates one filter.
type translator struct {
	def     *definition
	name    string // of fail2ban's
	options string // in brackets, as in the jail
	own     bool   // the log that the jail reads is written by the service itself
	at      Place
	stamps  []stamp
	form    string
	daemons []string // identifiers; none: all
	daemon  string   // the same as an expression
	units   []string
	prefix  [][]*python.Node // the forms of prefregex; none: there is none
	found   []expression
	ignored []expression
	made    []pattern
	ignore  []string
	notes   []Note
	left    []string // why lines are missing
	trying  *int     // bytes of lines that may yet be tried, for all filters
}

// expression is one form of a line of failregex or ignoreregex.
type expression struct {
	name  string
	line  int
	nodes []*python.Node
}

// pattern is one of exile's.
type pattern struct {
	name, match string
	nodes       []*python.Node
	framable    string // why it is
	samples     []sample
}

// maxPatterns is how many patterns are translated for all jails together. To try them takes time.
const maxPatterns = 2000

// translate translates a filter. It returns nil if there is no such filter.
func (j *job) translate(f call, at Place) *translation { return j.translateAs(f, at, j.ownLog()) }

// translateAs translates a filter for whole lines, or for what a syslog daemon writes.
func (j *job) translateAs(f call, at Place, own bool) *translation {
	key := fmt.Sprintf("%q %q %v", f.name, f.options, own)
	if slices.ContainsFunc(strings.Fields(keysOfFilters), j.own) {
		key += " " + j.name
	}
	if t, ok := j.translated[key]; ok {
		return t
	}
	def, err := j.setup.define(f, at)
	if def == nil && err == nil {
		def = j.alone(f)
	}
	if def == nil && err == nil {
		return nil
	}
	t := &translation{name: j.freeName(f.name)}
	j.translated[key] = t
	if err == nil {
		err = j.override(def)
	}
	if err != nil {
		t.no = &refusal{at, err.Error(), ""}
		return t
	}
	defer def.done(j.setup)
	w := &translator{notes: def.setup.notes, def: def, name: f.name, options: f.inBrackets(), own: own, trying: &j.trying, at: Place{File: j.setup.shown(path.Join(j.setup.dir, "filter.d", f.name+".conf"))}}
	t.from = w
	if t.no = w.read(); len(w.found)+len(w.ignored) > j.patterns {
		t.no = &refusal{w.at, fmt.Sprintf("the filters have more than %d patterns together", maxPatterns), ""}
	}
	j.patterns -= len(w.found) + len(w.ignored)
	if t.no == nil {
		t.no = w.make()
	}
	t.notes = w.notes
	if t.no == nil {
		t.no = w.finish(t, f.name, j.setup.shown(j.setup.dir))
	}
	return t
}

// keysOfFilters are the keys of a filter that a jail may give by itself.
const keysOfFilters = "failregex ignoreregex prefregex datepattern"

// override puts what the jail says in place of what the filter says, which the jail can refer to as %(known/key)s.
func (j *job) override(def *definition) error {
	for key := range strings.FieldsSeq(keysOfFilters) {
		if !j.own(key) {
			continue
		}
		if j.setup.known[j.name] == nil {
			j.setup.known[j.name] = section{}
		}
		v, _, err := def.get(key)
		if err == nil {
			v.text = strings.ReplaceAll(v.text, "%", "%%")
			j.setup.known[j.name][key] = v
			v, _, err = j.get(key)
		}
		if err != nil {
			return fmt.Errorf("the %s of the jail cannot be read: %w", key, err)
		}
		v.text = strings.ReplaceAll(v.text, "%", "%%")
		def.given[key] = v
	}
	return nil
}

// alone is the filter of a jail that names none, and has the expressions itself; nil: it is no such jail.
func (j *job) alone(f call) *definition {
	if v, ok, err := j.get("filter"); err != nil || !ok || v.text != "" || f.name != j.name || !j.own("failregex") {
		return nil
	}
	return j.setup.definition()
}

// ownLog reports whether the jail reads a log that no syslog daemon writes.
func (j *job) ownLog() bool {
	backend, _, _ := j.get("backend")
	logs, ok, _ := j.get("logpath")
	return ok && !isJournal(backend.text) && !isSyslog(logs.text)
}

// freeName is the name of the file: no other filter has it.
func (j *job) freeName(name string) string {
	name = plainFilterName(name)
	taken := func(name string) bool {
		if name == sshd || slices.Contains(services.Names(), name) || slices.Contains(j.mover.options.Filters, name) {
			return true
		}
		for _, t := range j.translated {
			if t.name == name {
				return true
			}
		}
		return false
	}
	free := name
	for i := 1; taken(free); i++ {
		free = fmt.Sprintf("%s-fail2ban", name)
		if i > 1 {
			free = fmt.Sprintf("%s-fail2ban-%d", name, i)
		}
	}
	return free
}

// read reads what the filter says.
func (w *translator) read() *refusal {
	v, lines, err := w.def.lines("failregex")
	if v.at.File == "" {
		v.at = w.at
	}
	w.at = v.at
	switch {
	case err != nil:
		return &refusal{v.at, "its failregex cannot be read: " + err.Error(), ""}
	case len(lines) == 0:
		return &refusal{v.at, "it has no failregex", ""}
	}
	for _, step := range []func() *refusal{w.dates, w.pre, w.program} {
		if no := step(); no != nil {
			return no
		}
	}
	for i, line := range lines {
		if p := w.failure(i+1, line); p != nil {
			w.miss("failregex", v.at, i+1, p)
		}
	}
	if len(w.found) == 0 {
		return w.nothing()
	}
	return w.except()
}

// nothing is the refusal of a filter of which every line stays behind.
func (w *translator) nothing() *refusal {
	for _, n := range w.notes {
		if n.Text == w.left[0] {
			return &refusal{w.at, n.Text, n.Advice}
		}
	}
	return &refusal{w.at, w.left[0], ""}
}

// miss notes that a line stays behind.
func (w *translator) miss(key string, at Place, line int, p *python.Problem) {
	text := fmt.Sprintf("line %d of %s was not translated: %s", line, key, p.Reason)
	w.left = append(w.left, text)
	w.notes = append(w.notes, Note{Kind: NotMoved, At: at, Text: text, Advice: p.Advice})
}

func (w *translator) changed(at Place, text, advice string) {
	n := Note{Kind: Changed, At: at, Text: text, Advice: advice}
	if !slices.ContainsFunc(w.notes, func(o Note) bool { return o.Text == text }) {
		w.notes = append(w.notes, n)
	}
}

func (w *translator) dates() *refusal {
	v, _, err := w.def.text("datepattern")
	if err == nil {
		w.stamps, err = stampsOf(v.text)
	}
	if err != nil {
		return &refusal{v.at, "its datepattern cannot be read: " + err.Error(), ""}
	}
	if w.stamps[0].inside {
		w.changed(v.at, "what datepattern says of the text before the time is not looked at: lines without count, too", "")
	}
	for _, s := range w.stamps {
		if !s.none && !strings.Contains(s.expr, anyTime) {
			w.changed(v.at, "exile does not know the time that datepattern describes: lines count from when they are read", "have the service write times as in ISO 8601")
		}
	}
	return nil
}

// pre reads prefregex.
func (w *translator) pre() *refusal {
	v, ok, err := w.def.text("prefregex")
	if err != nil {
		return &refusal{v.at, "its prefregex cannot be read: " + err.Error(), ""}
	}
	if !ok || strings.TrimSpace(v.text) == "" {
		return nil
	}
	n, err := python.Parse(v.text)
	if err == nil {
		w.prefix, err = python.Variants(n, isMark)
	}
	if err != nil {
		p := python.AsProblem(err)
		return &refusal{v.at, "its prefregex was not translated: " + p.Reason, p.Advice}
	}
	return nil
}

// anyDaemon is the name of any program.
const anyDaemon = "<SERVER>(?:/<SERVER>)*"

// program reads whose lines the filter reads.
func (w *translator) program() *refusal {
	v, ok, err := w.def.text("_daemon")
	if err != nil {
		return &refusal{v.at, "its _daemon cannot be read: " + err.Error(), ""}
	}
	if m, ok, err := w.def.text("journalmatch"); ok && err == nil {
		for word := range strings.FieldsSeq(m.text) {
			if unit := unitMatch.FindStringSubmatch(word); unit != nil {
				w.units = append(w.units, unit[1])
			}
		}
	}
	w.daemon = anyDaemon
	if !ok || strings.HasSuffix(v.at.File, "/common.conf") {
		return nil
	}
	n, err := python.Parse(v.text)
	if err != nil {
		p := python.AsProblem(err)
		return &refusal{v.at, "its _daemon was not translated: " + p.Reason, p.Advice}
	}
	if w.daemon, err = python.Print([]*python.Node{n}); err != nil {
		return &refusal{v.at, "its _daemon was not translated: " + err.Error(), ""}
	}
	if n.Op == python.Alternate {
		w.daemon = "(?:" + w.daemon + ")"
	}
	w.daemons = python.Words(n)
	if w.daemons == nil {
		w.own = true // the names cannot be listed, so the tag stays a part of the line
	}
	return nil
}

// except reads ignoreregex. Without all of it more would count.
func (w *translator) except() *refusal {
	v, lines, err := w.def.lines("ignoreregex")
	if err != nil {
		return &refusal{v.at, "its ignoreregex cannot be read: " + err.Error(), ""}
	}
	for i, line := range lines {
		n, err := python.Parse(line)
		var all [][]*python.Node
		if err == nil {
			all, err = python.Variants(n, isMark)
		}
		if err == nil {
			all, err = w.combined(all)
		}
		if err != nil {
			p := python.AsProblem(err)
			return &refusal{v.at, fmt.Sprintf("line %d of ignoreregex was not translated: %s", i+1, p.Reason), p.Advice}
		}
		for _, nodes := range all {
			w.ignored = append(w.ignored, expression{"ignore", i + 1, nodes})
		}
	}
	return nil
}
