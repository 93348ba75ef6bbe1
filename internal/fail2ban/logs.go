package fail2ban

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"exile/jail/filter/services"
)

// logs moves what is read.
func (j *job) logs() {
	if v, ok := j.read("logtimezone"); ok && j.filter != recidive {
		j.checked("logtimezone", v, scalar(v.text))
	}
	if v, ok := j.read("journalmatch"); ok && j.filter != recidive && !v.stock {
		j.units(v)
	}
	j.edited()
	backend, _ := j.read("backend")
	v, ok := j.read("logpath")
	if !ok || j.filter == recidive {
		return
	}
	if isJournal(backend.text) && j.translation != nil && len(j.service.Units) == 0 && !slices.ContainsFunc(j.words, func(w word) bool { return w.key == "units" }) {
		j.all(v.at, "where nothing says whose lines in the journal a filter reads, the logpath is read, which fail2ban does not read with backend = systemd")
		j.translatedLogs(v)
		return
	}
	if isJournal(backend.text) {
		if !v.stock {
			j.changed(v.at, "this logpath was not taken: with backend = systemd fail2ban does not read it either", "")
		}
		return
	}
	if v.stock && j.translation == nil {
		j.all(v.at, "exile's filters know what to read: the logs that fail2ban comes with were not taken")
		return
	}
	if j.translation != nil {
		j.translatedLogs(v)
		return
	}
	if j.service == nil || j.service.Form != services.Line {
		j.all(v.at, "the journal is read in place of what a syslog daemon writes, if there is one")
		if isSyslog(v.text) {
			return
		}
	}
	if paths := j.paths(v); len(paths) > 0 {
		j.set("logpath", list(paths))
	}
}

// translatedLogs moves what a filter that was translated reads: it knows no logs by itself.
func (j *job) translatedLogs(v value) {
	if paths := j.paths(v); len(paths) > 0 {
		j.set("logpath", list(unique(paths)))
	}
}

// edited says that files are taken for fail2ban's own, if they give a jail that is moved a logpath of a kind that is rare there.
func (j *job) edited() {
	v, ok := j.setup.sections[j.name]["logpath"]
	if !ok || !v.stock || j.filter == recidive || j.translation != nil {
		return
	}
	for w := range strings.FieldsSeq(v.text) {
		if filepath.IsAbs(w) && !strings.HasPrefix(w, "/var/log/") {
			j.all(v.at, "jail.conf and defaults-debian.conf were read as fail2ban's own: a logpath or a key that was changed there is not taken")
			return
		}
	}
}

// isJournal reports whether a backend is that for the journal, which may have options: systemd[journalflags=1].
func isJournal(backend string) bool {
	name, _, _ := strings.Cut(backend, "[")
	return strings.TrimSpace(name) == "systemd"
}

// reads reports whether the filter is for logs of that name. nginx's error log, for one, begins a line where a client wants, so what reads the
// access log must not read that.
func (j *job) reads(path string) bool {
	if j.service == nil || j.service.Form != services.Line || j.translation != nil {
		return true
	}
	return slices.ContainsFunc(j.service.LogPath, func(known string) bool { return kindOfLog(known) == kindOfLog(path) })
}

// kindOfLog tells the logs of one server apart by their names.
func kindOfLog(path string) string {
	name := strings.ToLower(filepath.Base(path))
	for _, kind := range []string{"error", "access"} {
		if strings.Contains(name, kind) {
			return kind
		}
	}
	return ""
}

// isSyslog reports whether all that is read is written by a syslog daemon, from what is in the journal, too.
func isSyslog(paths string) bool {
	for p := range strings.FieldsSeq(paths) {
		dir, name := filepath.Split(p)
		if dir != "/var/log/" || !slices.Contains([]string{
			"auth.log", "secure", "syslog", "messages", "mail.log", "maillog", "mail.warn", "mail.err", "daemon.log", "user.log", "kern.log",
		}, name) {
			return false
		}
	}
	return true
}

func (j *job) paths(v value) (out []string) {
	for w := range strings.FieldsSeq(v.text) {
		w = strings.Trim(w, `"',`)
		switch {
		case w == "" || w == "tail" || w == "head":
		case !filepath.IsAbs(w):
			j.left(v.at, "logpath: "+quoted(w)+" is not a path that begins with /", "")
		case !j.reads(w):
			j.left(v.at, "logpath: "+quoted(w)+" is not the log that the filter "+j.filter+" is for, by its name", "it reads "+strings.Join(j.service.LogPath, ", "))
		default:
			out = append(out, w)
		}
	}
	return out
}

var unitMatch = regexp.MustCompile(`^_SYSTEMD_UNIT=([\w@.:-]+)$`)

// units moves the units of a journalmatch.
func (j *job) units(v value) {
	var units []string
	for w := range strings.FieldsSeq(v.text) {
		m := unitMatch.FindStringSubmatch(w)
		switch {
		case m != nil:
			units = append(units, m[1])
		case w != "+" && !strings.HasPrefix(w, "_COMM="):
			j.left(v.at, "journalmatch: "+quoted(w)+" was not read", "name the units with units:")
		}
	}
	if len(units) > 0 {
		j.set("units", list(units))
	}
}
