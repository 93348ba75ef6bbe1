package fail2ban

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"exile/internal/config"
	"exile/jail/filter/services"
)

// This file writes a second configuration, whose jails read with fail2ban's own filters, for a comparison over a log.

// Comparison is what is compared: Result.YAML with Result.Files, and the configuration in which the jails of the same names read with fail2ban's
// filters and have its numbers.
type Comparison struct {
	YAML    string
	Filters map[string]string // of both, by name; each may be read with
	Jails   []Compared
}

// Compared is a jail that is compared.
type Compared struct {
	Jail    string   // of fail2ban
	Name    string   // here
	Logs    []string // patterns of paths; none: the journal
	Without string   // what of fail2ban's rules is not in it, a sentence; empty: nothing is known
}

// comparison collects a Comparison.
type comparison struct {
	jails   []entry
	rows    []Compared
	filters map[string]string // nil: none yet
}

// compare adds a jail that was moved.
func (j *job) compare(ours entry) {
	if j.filter == recidive {
		return // it counts bans
	}
	if j.compared.filters == nil {
		j.compared.filters = map[string]string{}
	}
	quiet := *j.mover // what is noted of the counterpart is not for the report
	quiet.result.Notes, quiet.noted = nil, map[noteKey]int{}
	theirs := &job{mover: &quiet, source: j.source, filter: j.filter, service: j.service, start: j.start}
	row := Compared{Jail: j.name, Name: ours.name, Logs: j.allLogs()}
	row.Without = j.theirFilter(theirs)
	theirs.theirNumbers()
	for _, w := range ours.words {
		if !slices.Contains(replaced, w.key) && !theirs.says(w.key) && !strings.HasPrefix(w.key, "bantime.") {
			theirs.words = append(theirs.words, w)
		}
	}
	e := entry{ours.name, append([]word{{"enabled", "true"}}, theirs.words...)}
	if _, err := config.ParseWith("", []byte(render("", nil, []entry{e})), j.compared.filters); err != nil {
		row.Without = borrowed(problemOf(err))
		e = entry{ours.name, append([]word{{"enabled", "true"}}, ours.words[1:]...)}
	}
	j.compared.jails, j.compared.rows = append(j.compared.jails, e), append(j.compared.rows, row)
}

// replaced are the keys of a jail that its counterpart has values of its own for.
var replaced = []string{"enabled", "filter", "mode", "maxretry", "findtime", "bantime", "detection", "aggregate"}

func (j *job) says(key string) bool {
	return slices.ContainsFunc(j.words, func(w word) bool { return w.key == key })
}

// theirFilter has the counterpart of a jail read with fail2ban's filter, or says why it cannot.
func (j *job) theirFilter(theirs *job) (without string) {
	if j.translation != nil {
		j.compared.filters[j.filter] = accepted(j.translation.text)
		theirs.readWith(j.filter)
		return ""
	}
	f, at := j.named()
	if j.filter == sshd { // exile knows which of its own rules are fail2ban's
		if mode := f.options["mode"]; mode != "" && mode != "normal" {
			without = "fail2ban's mode " + quoted(mode) + " is counted as normal"
		}
		theirs.readWith(sshd)
		return without
	}
	switch t := j.translateAs(f, at, j.service.Form == services.Line); {
	case t == nil:
		without = borrowed("there is no file of it")
	case t.no != nil:
		without = borrowed(t.no.reason)
	case t.service.Form != j.service.Form:
		without = borrowed("it is for whole lines or messages, where the filter " + j.filter + " is for the other")
	default:
		if t.reason != "" {
			without = "fail2ban's filter is not all in it: " + t.reason
		}
		j.compared.filters[t.name] = accepted(t.text)
		theirs.readWith(t.name)
		if len(t.service.Units) == 0 && len(j.service.Units) > 0 {
			theirs.set("units", list(j.service.Units))
		}
		if len(j.service.LogPath) > 0 && !j.says("logpath") { // the log that is read takes its place
			theirs.set("logpath", list(j.service.LogPath))
		}
		return without
	}
	theirs.readWith(j.filter)
	return without
}

// borrowed says that only the counting is compared, and why.
func borrowed(why string) string {
	return "exile's filter finds the lines for both, since fail2ban's cannot be run: " + why
}

func (j *job) readWith(filter string) { j.set("filter", scalar(filter)) }

// accepted is a filter that a jail reads with although clients can have others banned: here nobody is.
func accepted(text string) string {
	return strings.ReplaceAll(text, "framable: found", "framable: accepted")
}

// theirNumbers sets those of fail2ban, or what its jail.conf has.
func (j *job) theirNumbers() {
	n := 5
	if v, ok := j.read("maxretry"); ok {
		if own, err := strconv.Atoi(v.text); err == nil {
			n = max(own, 1)
		}
	}
	j.set("detection", "threshold")
	j.set("maxretry", strconv.Itoa(n))
	for _, key := range []string{"findtime", "bantime"} {
		if v, ok := j.read(key); !ok || !j.time(key, v) {
			j.set(key, "10min")
		}
	}
}

// allLogs are what fail2ban's jail reads.
func (j *job) allLogs() (paths []string) {
	backend, _, _ := j.get("backend")
	v, _, err := j.get("logpath")
	if err != nil || isJournal(backend.text) {
		return nil
	}
	for w := range strings.FieldsSeq(v.text) {
		if w = strings.Trim(w, `"',`); strings.HasPrefix(w, "/") && !slices.Contains(paths, w) {
			paths = append(paths, w)
		}
	}
	return paths
}

// comparison returns what was collected. The error is a mistake in this package.
func (m *mover) comparison() (*Comparison, error) {
	c := &Comparison{YAML: render("", m.defaults, m.compared.jails), Filters: map[string]string{}, Jails: m.compared.rows}
	maps.Copy(c.Filters, m.compared.filters)
	for name, text := range m.files {
		if _, ok := c.Filters[name]; !ok {
			c.Filters[name] = accepted(text)
		}
	}
	if _, err := config.ParseWith("fail2ban", []byte(c.YAML), c.Filters); err != nil {
		return nil, fmt.Errorf("what was written for the comparison does not load: %w", err)
	}
	return c, nil
}
