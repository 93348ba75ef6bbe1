package main

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"exile/internal/replay"
	"exile/internal/report"
)

// This file makes a replay into a report for people.

// tell writes the report in the form that is asked for.
func (r *rehearsal) tell(rep *replay.Report, out io.Writer) error {
	made := r.story(rep)
	if r.asked.Form == replay.FormJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if r.asked.Pretty {
			enc.SetIndent("", "\t")
		}
		return enc.Encode(made)
	}
	if r.asked.Form == replay.FormMail {
		return letter(made, out)
	}
	return made.HTML(out, time.Local)
}

// letter writes a report as a replay.Letter.
func letter(made *report.Report, out io.Writer) error {
	var page strings.Builder
	if err := made.HTML(&page, time.Local); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(replay.Letter{Subject: made.Subject(), Text: made.Summary(time.Local), Page: page.String()})
}

// story is what there is to tell.
func (r *rehearsal) story(rep *replay.Report) *report.Report {
	n := &rep.Count
	made := &report.Report{
		Host: r.asked.Host, Version: version, Made: time.Now(), Since: r.asked.Since, Until: r.asked.Until, First: rep.First, Last: rep.Last,
		Jails: rep.Jails, Entries: n.Entries, Attempts: n.Attempts, Prevented: n.Prevented, Passed: n.Passed, Sources: rep.Sources, Bans: rep.Bans,
		Logins: n.Logins, Top: rep.Top, False: rep.False, Latency: r.asked.Latency, Detectors: r.compareDetectors(), Troubles: rep.Troubles,
	}
	made.Over(r.replay.Hours(), time.Local)
	return made
}
