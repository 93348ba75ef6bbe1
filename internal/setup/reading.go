package setup

import (
	"fmt"
	"os"
	"slices"
	"time"

	"exile/internal/config"
	"exile/jail/filter/services"
	"exile/journal"
	"exile/journal/textlog"
)

// Reading is a filter of a jail, and what was chosen for it to read.
type Reading struct {
	*config.Part
	Logs []string // text logs; nil: the journal
}

// Choose chooses what the filters of a jail read: each its logs if text says so, and otherwise the journal.
func Choose(c *config.Jail, text func(*config.Part) bool) []*Reading {
	all := make([]*Reading, len(c.Parts))
	for i := range c.Parts {
		all[i] = &Reading{Part: &c.Parts[i]}
		if text(all[i].Part) {
			all[i].Logs = c.Parts[i].LogPath
		}
	}
	return all
}

// FromJournal reports whether all filters of a jail read the journal.
func FromJournal(all []*Reading) bool {
	return !slices.ContainsFunc(all, func(r *Reading) bool { return r.Logs != nil })
}

// InJournal reports whether it is known whose lines in the journal are those of a filter's service.
func InJournal(p *config.Part) bool {
	return p.Named() || len(p.Units) > 0 || p.Service != nil && p.Service.Sender != services.Unit
}

// OwnLog reports whether the logs of a filter are those of its service, to which no syslog daemon writes for others: it writes them by itself, or
// Docker does.
func OwnLog(p *config.Part) bool {
	return p.InDocker() || p.Service != nil && p.Service.Form == services.Line && len(p.LogPath) > 0
}

// AuthLogs are the logs to which syslog daemons write the lines of sshd, on Debian and on Fedora.
func AuthLogs() []string { return []string{"/var/log/auth.log", "/var/log/secure"} }

// form is what the lines of the logs look like.
func (r *Reading) form() textlog.Form {
	if r.InDocker() {
		return textlog.FormDocker
	}
	if r.Service == nil || !slices.Equal(r.Logs, r.LogPath) {
		return textlog.FormSyslog
	}
	return FormOf(r.Part)
}

// FormOf is what the lines of a filter's own logs look like.
func FormOf(p *config.Part) textlog.Form {
	if p.InDocker() {
		return textlog.FormDocker
	}
	if p.Service == nil {
		return textlog.FormSyslog
	}
	return textlog.Form(p.Service.Form)
}

// OnlyLog is Choose for a jail that reads nothing but logs of that name and form. Filters for other forms are left out.
func OnlyLog(c *config.Jail, name string, form textlog.Form) (chosen []*Reading) {
	for _, p := range c.Parts {
		if FormOf(&p) == form {
			p.LogPath = []string{name}
			chosen = append(chosen, &Reading{Part: &p, Logs: p.LogPath})
		}
	}
	return chosen
}

// OnlyJournal is Choose for a jail that reads nothing but the journal. Filters for logs are left out.
func OnlyJournal(c *config.Jail) (chosen []*Reading) {
	for i := range c.Parts {
		if p := &c.Parts[i]; InJournal(p) && (!c.TrustLogPath || len(p.LogPath) == 0) {
			chosen = append(chosen, &Reading{Part: p})
		}
	}
	return chosen
}

// TextLogs returns the sources of the text logs that the filters of a jail read, one for each form of lines.
func TextLogs(c *config.Jail, all []*Reading, open func(string) (*os.File, error)) (sources []journal.Source, err error) {
	zone, err := time.LoadLocation(c.LogTimeZone)
	if err != nil {
		return nil, fmt.Errorf("jail %q: logtimezone: %w", c.Name, err)
	}
	needed := make(map[textlog.Form][][]string) // by each filter
	for _, r := range all {
		same := func(set []string) bool { return slices.Equal(set, r.Logs) }
		if sets := needed[r.form()]; len(r.Logs) > 0 && !slices.ContainsFunc(sets, same) {
			needed[r.form()] = append(sets, r.Logs)
		}
	}
	for _, form := range []textlog.Form{textlog.FormDocker, textlog.FormLine, textlog.FormSyslog} {
		sets := needed[form]
		logs := slices.Sorted(slices.Values(slices.Concat(sets...)))
		if len(logs) == 0 {
			continue
		}
		source, err := textlog.New(textlog.Config{Paths: slices.Compact(logs), Needed: sets, Location: zone, Form: form, Open: open})
		if err != nil {
			return nil, fmt.Errorf("jail %q: %w", c.Name, err)
		}
		sources = append(sources, source)
	}
	return sources, nil
}
