package replay

import (
	"net/netip"
	"time"
)

// Request is what exilectl asks the daemon's program to replay.
type Request struct {
	Directory string    `json:"directory,omitempty"` // of journal files; empty: see the others
	Files     []string  `json:"files,omitempty"`     // of a journal
	Logs      []string  `json:"logs,omitempty"`      // text logs, or - for the standard input
	Machine   string    `json:"machine,omitempty"`   // a running container, for its journal; with none of these: the journal of this host
	Since     time.Time `json:"since,omitzero"`      // zero: the beginning
	Until     time.Time `json:"until,omitzero"`      // zero: the end
	Config    string    `json:"config,omitempty"`    // the only file to read; empty: the usual ones
	Jails     []string  `json:"jails,omitempty"`     // empty: those that are enabled
	Settings  []string  `json:"settings,omitempty"`  // of these jails, each KEY=VALUE
	Compare   string    `json:"compare,omitempty"`   // another configuration file, or Fail2ban; empty: nothing
	Root      string    `json:"root,omitempty"`      // a folder below which the configuration's filters are; empty: /
	Lines     bool      `json:"lines,omitempty"`     // the jails of Compare ban as fail2ban would
	Form      string    `json:"form,omitempty"`      // of a report for people, after the one below; empty: none
	Host      string    `json:"host,omitempty"`      // that it is of
	Latency   Latency   `json:"latency,omitzero"`    // of the bans of the daemon
	Suggest   bool      `json:"suggest,omitempty"`   // try many rules on these jails; the answer is that of package suggest
	Document  bool      `json:"document,omitempty"`  // print all bans as JSON after the report
	Pretty    bool      `json:"pretty,omitempty"`    // with line breaks
	Progress  bool      `json:"progress,omitempty"`  // show it on the standard error
	History   bool      `json:"history,omitempty"`   // sum the attempts up by day
}

// Fail2ban in place of a file to compare with stands for what fail2ban would have done.
const Fail2ban = "fail2ban"

// The forms of a report for people.
const (
	FormHTML = "html"
	FormJSON = "json"
	FormMail = "mail" // a Letter
)

// Letter is a report to mail.
type Letter struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Page    string `json:"page"` // in HTML
}

// Report is the answer in one line of JSON: what people want to know.
type Report struct {
	Error       string        `json:"error,omitempty"` // why there is no more in it
	Interrupted bool          `json:"interrupted,omitempty"`
	Troubles    []string      `json:"troubles,omitempty"` // what could not be read or is not known, each a sentence
	Jails       []string      `json:"jails"`
	First       time.Time     `json:"first,omitzero"` // entry in the period
	Last        time.Time     `json:"last,omitzero"`
	Elapsed     time.Duration `json:"elapsed"`
	Count       Count         `json:"count"`
	Sources     int           `json:"sources"` // addresses with attempts
	Bans        int           `json:"bans"`
	Only        int           `json:"only,omitempty"` // addresses that it banned, and what it is compared with never
	False       []False       `json:"false"`
	Top         Top           `json:"top"`
	History     [][]byte      `json:"history,omitempty"` // attempts by jail and day, for tally.Read; whether a ban would have prevented them, too
	Other       *Report       `json:"other,omitempty"`   // what was compared with; nil: nothing
	Differences []Difference  `json:"differences,omitempty"`
	Different   int           `json:"different,omitempty"` // how many there are
}

// maxTop is how many sources, networks and names a report lists.
const maxTop = 10

// Report returns what the run has found.
func (r *Replay) Report() Report {
	rep := Report{Count: r.Count(), Sources: r.seen.sources.len(), False: r.False(), Top: r.Top(maxTop)}
	if r.days != nil {
		rep.History = r.days.Select("", time.Time{}, time.Time{})
	}
	for _, j := range r.rules.Jails {
		if j != r.rules.Recidive {
			rep.Jails = append(rep.Jails, j.Name)
		}
	}
	for range r.Bans {
		rep.Bans++
	}
	return rep
}

// Detector is what one way of deciding did.
type Detector struct {
	Name      string `json:"name"`
	Bans      int    `json:"bans"`
	Attempts  uint64 `json:"attempts"`
	Prevented uint64 `json:"prevented"`
	False     int    `json:"false_bans"` // banned addresses with a login
}

// Detector returns what this run did, by that name.
func (r *Replay) Detector(name string) Detector {
	d := Detector{Name: name, Attempts: r.count.Attempts, Prevented: r.count.Prevented, False: len(r.False())}
	for range r.Bans {
		d.Bans++
	}
	return d
}

// False is a ban of somebody who logged in before or after it.
type False struct {
	Ban
	Login netip.Addr `json:"login"` // the address of the login
	Users []string   `json:"users"` // who logged in, as the service logged it; at most 8
}
