package fail2ban

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"exile/jail/filter/services"
)

// choose finds the filter that reads here what the jail's does.
func (j *job) choose() *refusal {
	f, at := j.named()
	if strings.HasSuffix(f.name, ".conf") || strings.HasSuffix(f.name, ".local") {
		j.changed(at, "fail2ban finds no filter "+quoted(f.name)+", whose name has the suffix of a file", "")
		f.name = strings.TrimSuffix(strings.TrimSuffix(f.name, ".conf"), ".local")
	}
	mode := cmp.Or(f.options["mode"], "normal")
	m := meaningOf(f.name, mode)
	row, no := j.filterRow(f.name, m)
	if no != nil {
		if t := j.translate(f, at); t != nil {
			return j.useTranslation(f.name, t, no)
		}
	}
	j.addFilter(row)
	if no != nil {
		no.at = at
		return no
	}
	j.filter = row.Filter
	if no := j.once(at); no != nil {
		return no
	}
	if j.filter != sshd && j.filter != recidive {
		data, err := services.Shipped(j.filter)
		if err == nil {
			j.service, err = services.Parse(j.filter+services.Suffix, data)
		}
		if err != nil {
			return &refusal{at, problemOf(err), ""}
		}
	}
	if m.missing != "" {
		j.changed(at, "this filter of fail2ban also counts "+m.missing, "")
	}
	j.useFilter(f, at, cmp.Or(m.mode, mode))
	return nil
}

// named is the filter that the jail names, or the one with its name.
func (j *job) named() (call, Place) {
	v, ok := j.read("filter")
	calls := parseCalls(v.text)
	if !ok || len(calls) == 0 {
		return call{name: j.name}, j.start
	}
	f, at := calls[0], v.at
	if !j.own("filter") {
		at = j.start
	}
	if mode, own := j.read("mode"); own && j.own("mode") && f.options["mode"] == "" {
		f.options["mode"] = mode.text
		f.keys = append(f.keys, "mode")
		j.changed(mode.at, "the filter runs in that mode; fail2ban ignores the key, because the filter is named without [mode=%(mode)s]", "")
	}
	return f, at
}

// filterRow says what a filter is here.
func (j *job) filterRow(name string, m meaning) (Filter, *refusal) {
	row := Filter{Name: name, Action: Mapped}
	if !isStockFilter(name) {
		no := j.foreign(name)
		row.Action, row.Reason = Refused, no.reason
		return row, no
	}
	for _, ours := range m.filters {
		if ours == sshd || ours == recidive || slices.Contains(j.options.Filters, ours) {
			row.Filter = ours
			return row, nil
		}
	}
	row.Action, row.Reason = Refused, "no such filter yet"
	return row, &refusal{reason: "there is no filter for " + quoted(name) + " yet", advice: newFilter(name)}
}

// useTranslation has the jail read with a filter that was translated. What else there is here was found before.
func (j *job) useTranslation(name string, t *translation, other *refusal) *refusal {
	row := Filter{Name: name, Action: Translated, Filter: t.name, Reason: t.reason}
	for _, n := range t.notes {
		j.say(n.Kind, n.At, "the filter "+quoted(name)+": "+n.Text, n.Advice)
	}
	if t.no != nil {
		row.Action, row.Filter, row.Reason = Refused, "", t.no.reason
		j.addFilter(row)
		return &refusal{t.no.at, "the filter " + quoted(name) + " was not translated: " + t.no.reason, cmp.Or(t.no.advice, other.advice)}
	}
	if t.framable {
		row.Reason = strings.TrimPrefix(row.Reason+"; "+framable, "; ")
	}
	j.addFilter(row)
	j.changed(t.from.at, "the filter "+quoted(name)+" was translated, into filters.d/"+t.name+services.Suffix, instead(other.advice))
	j.filter, j.service, j.translation = t.name, t.service, t
	if j.filter != j.exileName() {
		j.set("filter", scalar(j.filter))
	}
	j.mover.files[t.name] = t.text
	return nil
}

// instead is advice that names a filter of exile.
func instead(advice string) string {
	if !strings.Contains(advice, "may do the same") {
		return ""
	}
	return advice
}

// framable is what jails with a filter are off for.
const framable = "with it a client can have others banned: no jail reads with it until its file says framable: accepted, or the pattern is safe"

// risky is what jails with such a filter of exile's own are off for.
const risky = "with it a client can have others banned: no jail reads with it until the jail says framable: accepted"

// foreign says why a filter that is not fail2ban's stays behind, and what there is instead.
func (j *job) foreign(name string) *refusal {
	no := &refusal{reason: "there is no filter " + quoted(name), advice: newFilter(name)}
	if ours := cmp.Or(similar[name], name); slices.Contains(j.options.Filters, ours) {
		no.advice = "exile's filter " + ours + " may do the same: exilectl enable " + ours
	} else if ours == recidive {
		no.advice = "the rule recidive does the same, see exile.yaml(5)"
	}
	return no
}

func newFilter(name string) string {
	return "write one with its own samples: exilectl new-filter " + plainFilterName(name)
}

// once refuses a second jail that would be the rule recidive.
func (j *job) once(at Place) *refusal {
	if j.filter == recidive && slices.ContainsFunc(j.jails, func(e entry) bool { return e.name == recidive }) {
		return &refusal{at, "exile has one rule recidive, which another jail is by now", "keep the one with the longer bantime"}
	}
	return nil
}

func (m *mover) addFilter(row Filter) {
	for i, f := range m.result.Filters {
		if f.Name == row.Name && (f.Filter == row.Filter || f.Action == Refused || row.Action == Refused) {
			if f.Action == Refused {
				m.result.Filters[i] = row // another mode of it is there
			}
			return
		}
	}
	m.result.Filters = append(m.result.Filters, row)
}

// unread says that files of a filter are not read, because exile has that filter.
func (j *job) unread(name string, at Place) {
	names, err := j.setup.filterNames(name)
	if err != nil {
		j.left(at, "whether something changes fail2ban's filter is not known: "+err.Error(), "")
	}
	for _, file := range names {
		if file == path.Join(j.setup.dir, "filter.d", name+".conf") {
			j.all(Place{File: j.setup.shown(path.Dir(file))}, "where exile has the filter, that of fail2ban was not read, nor what somebody changed in its file")
			continue
		}
		j.left(at, "what "+j.setup.shown(file)+" changes in fail2ban's filter was not read", "see exilectl match --filter="+j.filter)
	}
}

// useFilter writes which filter reads, and how.
func (j *job) useFilter(f call, at Place, mode string) {
	j.unread(f.name, at)
	for _, key := range f.keys {
		if key != "mode" && !strings.HasPrefix(key, "_") {
			j.left(at, "the filter has no option "+quoted(key)+" here", "")
		}
	}
	if j.filter == recidive {
		return
	}
	if j.filter != j.exileName() {
		j.set("filter", scalar(j.filter))
	}
	switch {
	case mode == "normal":
	case services.IsMode(mode):
		j.set("mode", mode)
	default:
		j.changed(at, "the filter runs in the mode normal: there is no mode "+quoted(mode)+" here", "")
	}
}
