package main

import (
	"os"
	"slices"

	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/logs"
	"exile/internal/setup"
	"exile/journal"
	"exile/journal/merge"
	"exile/journal/textlog"
)

// This file chooses what the filters of jails read, and makes the sources.

// choose chooses what the filters of a jail read.
func (b *builder) choose(c *config.Jail) []*setup.Reading {
	all := setup.Choose(c, func(p *config.Part) bool { return b.readsText(c, p) })
	if setup.FromJournal(all) || b.journalError() == nil {
		return all
	}
	for _, r := range all {
		if r.Logs == nil { // one source must have it all, in order
			b.noJournal, r.Logs = true, setup.AuthLogs()
		}
	}
	return all
}

// readsText reports whether a filter of a jail reads its logpath. Any local user who may log can forge lines in the log of a syslog daemon. The
// journal has the same lines and knows who wrote them, so it is read if there is one.
func (b *builder) readsText(c *config.Jail, p *config.Part) bool {
	if setup.OwnLog(p) {
		text := !setup.InJournal(p) || logExists(p.LogPath)
		b.log.Info("Chose what to read", "jail", c.Name, "filter", p.Filter, "logs", text, "journal", !text)
		return text
	}
	if len(p.LogPath) == 0 || c.TrustLogPath || !setup.InJournal(p) {
		return len(p.LogPath) > 0
	}
	if err := b.journalError(); err != nil {
		b.noJournal = true
		b.log.Warn("Any local user can forge lines of a text log, which is read because there is no journal", "jail", c.Name, "reason", err)
		return true
	}
	b.log.Warn("Reading the journal in place of logpath, where any local user can forge lines: set trust_logpath: yes if nobody can",
		"jail", c.Name)
	return false
}

// openLog opens a log or a folder of logs. A helper opens what the configuration names and only root may read.
func openLog(name string) (*os.File, error) { return logs.Client{Socket: logs.Socket}.Open(name) }

// logExists reports whether there is a log now.
func logExists(paths []string) bool { return textlog.Config{Paths: paths, Open: openLog}.Exists() }

// trusted reports whether the logs that a filter reads are not those of a syslog daemon of this host: they are the service's own, which may be
// in a container, or another host's.
func trusted(c *config.Jail, r *setup.Reading) bool {
	return r.Logs != nil && (c.TrustLogPath || setup.OwnLog(r.Part))
}

// watch lets the daemon see what the units of a jail do.
func watch(j *daemon.Jail, c *config.Jail, all []*setup.Reading) {
	for _, r := range all {
		j.Info.Logs = append(j.Info.Logs, r.Logs...)
		if trusted(c, r) {
			continue
		}
		j.Info.Forgeable = j.Info.Forgeable || r.Logs != nil
		for _, unit := range r.Units { // in their order: the first names the service in messages
			if !slices.Contains(j.Watched, unit) {
				j.Watched = append(j.Watched, unit)
			}
		}
	}
	if c.SSHD() && len(j.Watched) > 0 {
		j.Talks, j.Startups = true, startups(accountsFile, c)
	}
}

// ownSource adds the source of a jail that does not read the host's journal alone: its text logs and, if some of its filters read that, the journal
// and the journal namespaces of its units, in order.
func (b *builder) ownSource(plan *daemon.Plan, j *daemon.Jail, c *config.Jail, all []*setup.Reading) error {
	own := daemon.Source{Name: "text:" + c.Name, Jails: []*daemon.Jail{j}}
	j.Origin = control.OriginFile
	parts, err := setup.TextLogs(c, all, openLog)
	if err != nil {
		return err
	}
	if wanted := setup.Seek(all); len(wanted.Select) > 0 {
		from, err := b.journal(wanted)
		if err != nil {
			return err
		}
		own.Name, own.Instead, j.Origin = "mixed:"+c.Name, from.Instead, control.OriginJournal
		parts = append([]journal.Source{from.Source}, parts...)
		for _, name := range j.Namespaces { // the last, so that the positions of the others stay theirs when one comes
			b.log.Info("Reading a journal namespace", "jail", c.Name, "namespace", name)
			parts = append(parts, b.namespace(name, wanted))
		}
	}
	if len(j.Namespaces) > 0 && setup.FromJournal(all) { // it may have read the host's journal alone before
		own.Former, own.From = "journal", merge.First
	}
	own.Source = parts[0]
	if len(parts) > 1 {
		own.Source = merge.New(parts...)
	}
	plan.Sources = append(plan.Sources, own)
	return nil
}
