package fail2ban

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"exile/internal/config"
	"exile/jail/filter/services"
)

// Options say what is moved.
type Options struct {
	All     bool     // jails that are not enabled, too
	Filters []string // the names of the filters there are
	Compare bool     // Result.Comparison is wanted
}

// Filter is what became of a filter.
type Filter struct {
	Name   string `json:"name"`
	Action string `json:"action"` // Mapped, Translated or Refused
	Filter string `json:"filter"` // the name of ours; empty: none
	Reason string `json:"reason"` // why it was refused, or what of it was
}

// Jail is what became of a jail.
type Jail struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Action  string `json:"action"`
	Reason  string `json:"reason"`
}

// The values of Action.
const (
	Mapped     = "mapped"
	Translated = "translated" // the filter is a file of its own
	Refused    = "refused"
)

// Result is the configuration in exile's words.
type Result struct {
	Filters []Filter
	Jails   []Jail
	Notes   []Note
	Off     int               // jails that are not enabled and were left out
	YAML    string            // a drop-in of exile.yaml
	Files   map[string]string // the filters that were translated, by name

	Comparison *Comparison // of the jails that were moved; nil: it was not asked for

	config *config.Config    // what YAML is
	names  map[string]string // of the jails that are on here, by those in fail2ban
}

// mover moves jail after jail.
type mover struct {
	from     *Setup
	options  Options
	result   Result
	defaults []word
	jails    []entry
	backends map[string]bool   // that the actions name
	used     map[string]bool   // keys that some jail refers to
	noted    map[noteKey]int   // where a note is in the result
	spared   map[string]string // what [DEFAULT] says of who is not banned
	tried    int               // jails that have a filter here
	more     int               // notes that are not in the result
	compared comparison
	files    map[string]string // the filters that were translated, by name

	translated map[string]*translation // by what the jails say of them
	patterns   int                     // how many more may be translated
	trying     int                     // bytes of lines that may yet be tried for them
}

// word is a key of exile's with its value in YAML, entry a jail.
type word struct{ key, text string }

type entry struct {
	name  string
	words []word
}

// Move says a configuration in exile's words. The error is a mistake in this package: what it writes must load.
func Move(s *Setup, o Options) (*Result, error) { return newMover(s, o).move() }

func newMover(s *Setup, o Options) *mover {
	return &mover{
		from: s, options: o, backends: map[string]bool{}, used: map[string]bool{}, noted: map[noteKey]int{}, spared: map[string]string{}, more: s.more,
		files: map[string]string{}, translated: map[string]*translation{}, patterns: maxPatterns, trying: maxTrying,
		result: Result{names: map[string]string{}},
	}
}

func (m *mover) move() (*Result, error) {
	s := m.from
	for _, n := range s.notes {
		m.note(n)
	}
	if v := s.defaults["enabled"]; isOn(v.text) {
		m.note(Note{
			Kind: Changed, At: v.at, Text: "[DEFAULT] turns on every jail that does not say otherwise, those of services that are not here, too",
			Advice: "exilectl disable turns off what is not wanted",
		})
	}
	m.spareAll()
	for _, name := range s.order {
		m.jail(name)
	}
	m.leftDefaults()
	m.sshd()
	if m.options.Compare {
		var err error
		if m.result.Comparison, err = m.comparison(); err != nil {
			return nil, err
		}
	}
	m.result.YAML = render(m.backend(), m.defaults, m.jails)
	m.report()
	m.result.Files = m.files
	var err error
	if m.result.config, err = config.ParseWith("fail2ban.yaml", []byte(m.result.YAML), m.files); err != nil {
		return nil, fmt.Errorf("what was written does not load: %w", err)
	}
	if len(m.result.YAML) > maxFile {
		return nil, fmt.Errorf("the configuration would be larger than %d bytes", maxFile)
	}
	return &m.result, nil
}

// maxNotes is how long the report may become. Nobody reads on, and each note costs time and memory.
const maxNotes = 1000

// noteKey is what makes two notes the same.
type noteKey struct {
	kind Kind
	at   Place
	text string
}

// note adds to the report. What is the same in several jails is one note.
func (m *mover) note(n Note) {
	key := noteKey{n.Kind, n.At, n.Text}
	i, known := m.noted[key]
	switch {
	case !known && m.full():
		m.more++
	case !known:
		m.noted[key] = len(m.result.Notes)
		m.result.Notes = append(m.result.Notes, n)
	case len(n.Jails) > 0:
		// Jails come one after the other. A note about none is about all.
		if o := &m.result.Notes[i]; len(o.Jails) > 0 && o.Jails[len(o.Jails)-1] != n.Jails[0] {
			o.Jails = append(o.Jails, n.Jails...)
		}
	}
}

func (m *mover) full() bool { return len(m.result.Notes) >= maxNotes }

// report puts the notes in the order of the files.
func (m *mover) report() {
	slices.SortStableFunc(m.result.Notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line))
	})
	if m.more > 0 {
		m.result.Notes = append(m.result.Notes, Note{
			Kind: NotMoved, At: Place{File: m.from.shown(m.from.dir)}, Text: fmt.Sprintf("and %d more notes, which are not shown", m.more),
			Advice: "mend what is noted, and import again",
		})
	}
}

func (m *mover) jail(name string) {
	j := &job{mover: m, source: source{setup: m.from, name: name, used: map[string]bool{}}}
	on, ok := j.enabled()
	if !on && !m.options.All || !ok && m.options.All && !j.own("filter") && !isStockFilter(name) {
		m.result.Off++
		return
	}
	row := Jail{Name: name, Enabled: on, Action: Mapped}
	no := j.move(on)
	switch {
	case no != nil:
		row.Action, row.Reason = Refused, no.reason
		j.left(no.at, "the jail was not moved: "+no.reason, no.advice)
	case j.translation != nil:
		row.Action = Translated
		if j.translation.framable && on {
			row.Reason = "it is off: " + framable
		}
	case j.risky() && on:
		row.Reason = "it is off: " + risky
	}
	j.unknown()
	m.result.Jails = append(m.result.Jails, row)
}

// refusal is why a jail or a filter stays behind.
type refusal struct {
	at             Place
	reason, advice string
}

// job moves one jail.
type job struct {
	*mover
	source
	filter  string            // ours
	service *services.Service // of the filter; nil: it is in the program
	bans    []call            // the actions that ban
	words   []word
	start   Place // where the jail is turned on

	translation *translation // of its filter; nil: it has a counterpart
}

// enabled reports whether fail2ban would run the jail, and whether anything says so.
func (j *job) enabled() (on, ok bool) {
	v, ok, err := j.get("enabled")
	if j.start = j.setup.places[j.source.name]; j.own("enabled") {
		j.start = v.at
	}
	if err != nil {
		j.left(v.at, "enabled: "+err.Error(), "")
		return false, ok
	}
	meant, comment := uncommented(v.text)
	if comment && isOn(meant) {
		j.changed(v.at, "the jail is off: a comment behind # is a part of the value for fail2ban, which knows no such value",
			"exilectl enable turns the jail on, if it was meant to be")
	}
	return isOn(v.text), ok
}

func (j *job) move(on bool) *refusal {
	if len(j.jails) == maxJails || j.tried == maxTried { // first: the rest takes time
		return &refusal{j.start, fmt.Sprintf("these are more than %d jails", maxJails), ""}
	}
	if no := j.choose(); no != nil {
		return no
	}
	if no := j.actions(); no != nil {
		return no
	}
	j.tried++
	for _, step := range []func(){j.numbers, j.growth, j.spared, j.cache, j.ports, j.logs, j.others} {
		step()
	}
	e := entry{name: j.exileName()}
	if slices.ContainsFunc(j.jails, func(o entry) bool { return o.name == e.name }) {
		return &refusal{j.start, "exile has a jail " + e.name + " by then", "write the jail by hand, see exile.yaml(5)"}
	}
	e.words = append([]word{{"enabled", "true"}}, j.words...)
	if j.risky() {
		on = false
		j.changed(j.start, "the jail is off, since a client could have others banned with the filter "+j.filter+": "+j.service.Risk(),
			"write framable: accepted in the jail, if you take that risk, or choose another filter")
		e.words = append(e.words, word{"framable", "accepted"}) // for a look at the rest
	}
	cfg, err := config.ParseWith("", []byte(render("", nil, []entry{e})), j.acceptedFilter())
	if err != nil {
		return &refusal{j.start, problemOf(err), "change the value, or write the jail by hand, see exile.yaml(5)"}
	}
	on = on && (j.translation == nil || !j.translation.framable)
	e.words[0].text = fmt.Sprint(on)
	looked := e
	if j.risky() {
		e.words = e.words[:len(e.words)-1]
	}
	j.jails = append(j.jails, e)
	j.moved(cfg, e.name, on)
	if j.options.Compare {
		j.compare(looked)
	}
	return nil
}

// risky reports whether exile's own filter for the jail is one with which a jail reads only if it says so.
func (j *job) risky() bool {
	return j.translation == nil && j.service != nil && !j.service.Accepted()
}

// acceptedFilter is the filter of the jail, if it was translated, for a look at the rest of the jail.
func (j *job) acceptedFilter() map[string]string {
	if j.translation == nil {
		return nil
	}
	return map[string]string{j.filter: accepted(j.translation.text)}
}

const (
	maxJails = 250          // below what exile accepts: it has jails of its own
	maxTried = 2 * maxJails // with those that turn out not to be valid
)

const (
	sshd     = "sshd"
	recidive = "recidive"
)

// exileName is the name of the jail here. A jail for sshd of another name takes the place of the one that exile has.
func (j *job) exileName() string {
	switch _, taken := j.setup.sections[sshd]; {
	case j.filter == recidive:
		return recidive
	case j.filter == sshd && !taken && !slices.ContainsFunc(j.jails, func(e entry) bool { return e.name == sshd }):
		return sshd
	}
	name := plainName(j.name)
	if name == recidive {
		name += "-jail"
	}
	return name
}

func (j *job) moved(cfg *config.Config, name string, on bool) {
	text := "it reads with the filter " + j.filter
	for i := range cfg.Jails {
		if c := &cfg.Jails[i]; c.Name == name {
			text += ": " + c.Rule()
		}
	}
	if name == recidive {
		text = "it is the rule recidive: " + config.RecidiveRule(cfg.Recidive)
	}
	if name != j.name {
		text += "; it is called " + name + " here"
	}
	if !on {
		text += "; it is off"
	} else {
		j.result.names[j.name] = name
	}
	j.mover.note(Note{Kind: Moved, At: j.start, Jails: []string{j.name}, Text: text})
}

// problemOf is the first mistake that the configuration has, without its place in what was written.
func problemOf(err error) string {
	if p, ok := errors.AsType[*config.Problem](err); ok {
		return p.Text
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// set writes a key. The rule recidive has few.
func (j *job) set(key, text string) { j.words = append(j.words, word{key, text}) }

func (j *job) changed(at Place, text, advice string) { j.say(Changed, at, text, advice) }

func (j *job) left(at Place, text, advice string) { j.say(NotMoved, at, text, advice) }

func (j *job) say(kind Kind, at Place, text, advice string) {
	n := Note{Kind: kind, At: at, Text: text, Advice: advice}
	if j.name != everyJail {
		n.Jails = []string{j.name}
	}
	j.mover.note(n)
}

// read returns the value of a key as it was meant.
func (j *job) read(key string) (value, bool) {
	v, ok, err := j.get(key)
	if err != nil {
		j.left(v.at, fmt.Sprintf("the value of %s cannot be read: %v", quoted(key), err), "write the value")
		return v, false
	}
	meant, comment := uncommented(v.text)
	if comment {
		j.changed(v.at, fmt.Sprintf("%s was read without its comment: a comment behind # is a part of the value for fail2ban", quoted(key)), "")
	}
	v.text = meant
	return v, ok && meant != ""
}
