package fail2ban

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"exile/internal/config"
	"exile/jail"
)

// This file turns keys of a jail into exile's.

// The advice on the two numbers that mean something else here, once for all jails.
const (
	onAttempts = "attempts are counted here, not lines: a wrong password counts once, however many lines it leaves"
	onWindow   = "findtime is a true window here: fail2ban estimates how many failures are still inside, exile keeps their times"
)

// numbers moves maxretry, findtime and bantime.
func (j *job) numbers() {
	if j.untouched() {
		return
	}
	if v, ok := j.read("maxretry"); ok && !j.general("maxretry", v) {
		j.maxretry(v)
	}
	if v, ok := j.read("findtime"); ok && !j.general("findtime", v) && j.time("findtime", v) {
		j.all(v.at, onWindow)
	}
	if v, ok := j.read("bantime"); ok {
		j.time("bantime", v)
	}
}

// untouched reports whether the numbers for sshd are those that fail2ban comes with. They do not replace the detector that sshd has here.
func (j *job) untouched() bool {
	for key, numbers := range map[string][]string{"maxretry": {"5"}, "findtime": {"10m", "600"}, "bantime": {"10m", "600"}} {
		if v, ok, err := j.get(key); ok && (err != nil || !v.stock || !slices.Contains(numbers, v.text)) {
			return false
		}
	}
	return j.filter == sshd
}

// general reports whether a number is only what fail2ban comes with for all jails, and the filter has one of its own: it counts something
// else than logins.
func (j *job) general(key string, v value) bool {
	return v.stock && !j.own(key) && j.service != nil && j.service.MaxRetry > 0
}

func (j *job) maxretry(v value) {
	n, err := strconv.Atoi(v.text)
	if err != nil {
		j.left(v.at, "maxretry is no whole number: "+quoted(v.text), "write the number")
		return
	}
	if n < 1 {
		j.changed(v.at, "maxretry: "+v.text+" is 1 here, where the first attempt is banned", "")
	}
	j.set("maxretry", strconv.Itoa(max(n, 1)))
	j.all(v.at, onAttempts)
}

// all notes what is so in every jail, at the first place where it matters.
func (j *job) all(at Place, text string) {
	if !slices.ContainsFunc(j.result.Notes, func(n Note) bool { return n.Text == text }) {
		j.mover.note(Note{Kind: Changed, At: at, Text: text})
	}
}

// time moves a time.
func (j *job) time(key string, v value) bool {
	d, forever, err := parseTime(v.text)
	switch {
	case err != nil:
		j.left(v.at, key+": "+err.Error(), "write it as in exile.yaml(5)")
		return false
	case forever && key != "bantime":
		j.left(v.at, key+" cannot be for ever", "write a time")
		return false
	case forever:
		j.set(key, "-1")
	case tooLong(d) && key == "bantime":
		j.set(key, "-1")
		j.changed(v.at, "bantime: "+quoted(v.text)+" is longer than 100 years: a ban is for ever", "")
	case tooLong(d):
		j.left(v.at, key+": "+quoted(v.text)+" is longer than 100 years", "write a shorter time")
		return false
	default:
		j.set(key, config.FormatDuration(d))
	}
	return true
}

// growth moves how bans grow. Without bantime.increment the other keys do nothing.
func (j *job) growth() {
	if j.filter == recidive {
		return
	}
	if on, ok := j.read("bantime.increment"); !ok || !isOn(on.text) {
		if _, set := j.setup.defaults["bantime"]; !set && !j.own("bantime") && j.service != nil {
			j.set("bantime.increment", "false") // which a bantime says, too
		}
		return
	}
	j.set("bantime.increment", "true")
	if v, ok := j.read("bantime.factor"); ok {
		j.checked("bantime.factor", v, v.text)
	}
	if v, ok := j.read("bantime.multipliers"); ok {
		j.checked("bantime.multipliers", v, list(splitWords(v.text)))
	}
	if v, ok := j.read("bantime.maxtime"); !ok || !j.time("bantime.maxtime", v) {
		j.set("bantime.maxtime", "0")
	}
	if v, ok := j.read("bantime.rndtime"); ok {
		j.time("bantime.rndtime", v)
	}
	if v, ok := j.read("bantime.overalljails"); ok && isOn(v.text) {
		j.set("bantime.overalljails", "true")
	}
	if v, ok := j.read("bantime.formula"); ok && !doubles(v.text) {
		j.left(v.at, "formulas are not computed here: bans double, times bantime.factor", "write their growth as bantime.multipliers")
	}
}

// doubles reports whether a formula is the one that fail2ban has without any.
func doubles(formula string) bool {
	return strings.ReplaceAll(formula, " ", "") == "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor"
}

// checked writes a value that exile accepts.
func (j *job) checked(key string, v value, text string) {
	if _, err := config.Parse("", []byte(key+": "+text)); err != nil {
		j.left(v.at, problemOf(err), "")
		return
	}
	j.set(key, text)
}

// spared moves who is never banned. It is moved once for all jails, whatever becomes of them: exile has jails of its own, and who is spared
// must not be banned by those.
func (j *job) spared() {
	if j.apart("ignoreip") {
		if v, ok := j.read("ignoreip"); ok {
			if words := j.ignored(v); len(words) > 0 {
				j.setSpared("ignoreip", list(words), v)
			}
		}
	}
	if j.apart("ignoreself") {
		if v, ok := j.read("ignoreself"); ok && (!isOn(v.text) || j.mover.spared["ignoreself"] != "") {
			j.setSpared("ignoreself", strconv.FormatBool(isOn(v.text)), v)
		}
	}
	if j.apart("ignorecommand") {
		if v, ok := j.read("ignorecommand"); ok {
			j.command(v)
		}
	}
}

// apart reports whether the jail says something else of who is spared than [DEFAULT] does for all, be it by what is referred to there.
func (j *job) apart(key string) bool {
	if j.name == everyJail || j.own(key) {
		return true
	}
	v, _, err := j.get(key)
	return err == nil && v.text != j.mover.spared[key]
}

// everyJail is the name of what is no jail: [DEFAULT] by itself.
const everyJail = ""

// spareAll moves what [DEFAULT] says of who is spared.
func (m *mover) spareAll() {
	j := &job{mover: m, source: source{setup: m.from, name: everyJail, used: m.used}}
	j.spared()
	for _, key := range []string{"ignoreip", "ignoreself", "ignorecommand"} {
		if v, _, err := j.get(key); err == nil {
			m.spared[key] = v.text
		}
	}
	for _, w := range j.words {
		if _, err := config.Parse("", []byte(render("", []word{w}, nil))); err != nil {
			j.left(m.from.defaults[w.key].at, problemOf(err), "change the value")
			continue
		}
		m.defaults = append(m.defaults, w)
	}
}

// setSpared writes a key for all jails, or for this one.
func (j *job) setSpared(key, text string, v value) {
	if j.filter == recidive {
		j.left(v.at, "the rule recidive has no "+key, "write it below defaults, or in the other jails")
		return
	}
	j.set(key, text)
}

// cache moves how long the answer of the program is good for.
func (j *job) cache() {
	v, ok := j.read("ignorecache")
	switch {
	case !ok:
		return
	case j.filter == recidive:
		if j.own("ignorecache") {
			j.left(v.at, "the rule recidive has no ignorecache", "")
		}
		return
	}
	c := call{options: map[string]string{}}
	if c.set(v.text); c.options["max-time"] != "" {
		v.text = c.options["max-time"]
		j.time("ignorecache", v)
	} else if !v.stock {
		j.left(v.at, "ignorecache has no max-time, which is all that exile takes of it", "write how long an answer is good for")
	}
}

var placeholder = regexp.MustCompile(`(?i)your|x\.x|<|>|\$|__|example\.(com|org|net)|[{}]`)

// ignored returns the entries of an ignoreip list that exile reads.
func (j *job) ignored(v value) (out []string) {
	for _, w := range splitWords(v.text) {
		g, err := jail.ParseIgnore(strings.Trim(w, `"'`))
		switch {
		case placeholder.MatchString(w):
			j.left(v.at, "ignoreip: "+quoted(w)+" looks like a placeholder", "write the address")
		case filepath.IsAbs(w):
			j.left(v.at, "ignoreip: "+quoted(w)+" is a file, which fail2ban does not read", "write file:/PATH, see exile.yaml(5)")
		case err != nil:
			j.left(v.at, "ignoreip: "+quoted(w)+" is no address, network or host name", "")
		case g.Prefix.IsSingleIP():
			out = append(out, g.Prefix.Addr().String())
		default:
			out = append(out, g.String())
		}
	}
	return slices.Compact(out)
}

// command moves the program that says who is not banned. Those of fail2ban go with it.
func (j *job) command(v value) {
	argv := strings.Fields(v.text)
	switch {
	case strings.HasPrefix(argv[0], j.setup.shown(j.setup.dir)+"/"):
		j.left(v.at, "ignorecommand: the program is fail2ban's", "")
	case !filepath.IsAbs(argv[0]), strings.ContainsAny(strings.ReplaceAll(v.text, "<ip>", ""), "'\"\\|&;$`<>()*?%"):
		j.left(v.at, "ignorecommand runs without a shell, and knows no tag but <ip>", "write a script, and its path in exile.yaml")
	default:
		j.setSpared("ignorecommand", list(argv), v)
		j.changed(v.at, "ignorecommand runs as the user exile in a sandbox, not as root", "see exile.yaml(5)")
	}
}

// others reports the keys that have no counterpart.
func (j *job) others() {
	for _, key := range []string{"failregex", "ignoreregex", "prefregex", "datepattern", "maxlines"} {
		if j.translation != nil && j.own(key) && key != "maxlines" {
			continue // it is a part of the translation
		}
		if v, ok := j.read(key); ok && !v.stock {
			j.left(v.at, key+" belongs to a filter here", newFilter(j.name))
		}
	}
	for _, key := range []string{"logencoding", "skip_if_nologs"} {
		if v, ok := j.read(key); ok && !v.stock && v.text != "auto" {
			j.left(v.at, key+" has no counterpart here", "")
		}
	}
	if v, ok := j.read("usedns"); ok && !v.stock && (v.text == "yes" || v.text == "warn") {
		j.changed(v.at, "host names in lines are not looked up: who controls a name could have any address banned", "")
	}
	if v, ok := j.read("allowipv6"); ok && !v.stock {
		j.left(v.at, "IPv6 is always read and banned here", "")
	}
}
