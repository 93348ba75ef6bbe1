package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exile/dbusapi"
	"exile/firewall"
	"exile/firewall/auto"
	"exile/internal/allow"
	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/jail"
	"exile/journal"
	"exile/journal/export"
	"exile/journal/follow"
	"exile/journal/journalfile"
	"exile/journal/textlog"
)

// planner turns the configuration into what the daemon runs.
type planner struct {
	options options
	log     *slog.Logger
	machine string         // its id at the start; empty: it has none
	loaded  *config.Config // of the start, checked before anything else was touched; nil afterwards

	lock    *firewall.Lock // of the firewall, from the first backend that changes it to the end; nil: none did
	backend auto.Choice    // in use; kept over a reload that does not change it
	wanted  wish           // what the configuration said when it was chosen
	shown   shown
}

// plan reads the configuration, in whose main file's place a text may be on trial, and builds what it asks for.
func (p *planner) plan(ctx context.Context, trial string) (*daemon.Plan, error) {
	from := config.Sources{File: p.options.config, Text: trial}
	cfg, err := p.config(from)
	if err != nil {
		return nil, err
	}
	b := &builder{
		planner: p, cfg: cfg, commands: allow.NewCommands(),
		accounts: newAcquaintance(accountsFile, passwdFile), admins: newAdministration(groupFile, passwdFile),
	}
	b.meetStrangers(ctx)
	plan := &daemon.Plan{File: from.Main(), PurgeAge: cfg.PurgeAge, MaxBans: cfg.MaxBans, Serve: b.serve, Sessions: p.sessions}
	if p.options.bus != "none" {
		plan.Service = p.service
	}
	if err := errors.Join(b.jails(plan), b.recidive(plan)); err != nil {
		return nil, err
	}
	if err := p.open(ctx, cfg, plan); err != nil {
		return nil, err
	}
	return plan, nil
}

func (p *planner) config(from config.Sources) (*config.Config, error) {
	cfg := p.loaded
	p.loaded = nil
	if cfg != nil && from.Text == "" {
		return cfg, nil
	}
	return config.Load(from)
}

// jails adds the enabled jails and the sources that they read.
func (b *builder) jails(plan *daemon.Plan) error {
	var fromJournal []*daemon.Jail
	var wanted journal.Selector
	for i := range b.cfg.Jails {
		c := &b.cfg.Jails[i]
		if !c.Enabled {
			continue
		}
		j, err := b.build(c)
		if err != nil {
			return err
		}
		plan.Jails = append(plan.Jails, j)
		if c.ByHand {
			b.log.Info("No jail is enabled: nobody but whom you ban by hand is banned", "jail", c.Name)
			continue
		}
		if b.readsText(c) {
			if err := b.text(plan, j, c); err != nil {
				return err
			}
			continue
		}
		watch(j, c)
		fromJournal = append(fromJournal, j)
		wanted = append(wanted, jail.Selector(c.Units, c.Identifiers)...)
	}
	if len(fromJournal) == 0 {
		return nil
	}
	source, err := b.journal(wanted)
	if err != nil {
		return err
	}
	source.Jails = fromJournal
	for _, j := range fromJournal {
		if source.Name == "text" {
			j.Origin, j.Info.Forgeable = control.OriginFile, true
		}
	}
	plan.Sources = append(plan.Sources, source)
	return nil
}

// watch has the daemon look what the units of a jail do.
func watch(j *daemon.Jail, c *config.Jail) {
	j.Watched = c.Units
	if c.Filter == "sshd" {
		j.Talks, j.Startups = true, startups(accountsFile, c)
	}
}

// readsText reports whether a jail reads its logpath. Whoever may log on this host writes perfect lines into the log of a syslog
// daemon, and the journal has all that gets there, with who wrote it: where there is one, it is read.
func (b *builder) readsText(c *config.Jail) bool {
	if len(c.LogPath) == 0 || c.TrustLogPath || len(c.Units) == 0 {
		return len(c.LogPath) > 0
	}
	_, err := follow.New(follow.Config{Dirs: b.journalDirs()})
	if err != nil && !errors.Is(err, journalfile.ErrUnsupported) {
		b.log.Warn("Any local user can forge lines of a text log, which is read because there is no journal", "jail", c.Name, "reason", err)
		return true
	}
	b.log.Warn("Reading the journal in place of logpath, where any local user can forge lines: set trust_logpath: yes if nobody can",
		"jail", c.Name)
	return false
}

// text adds the text logs that a jail reads.
func (b *builder) text(plan *daemon.Plan, j *daemon.Jail, c *config.Jail) error {
	zone, err := time.LoadLocation(c.LogTimeZone)
	if err != nil {
		return fmt.Errorf("jail %q: logtimezone: %w", c.Name, err)
	}
	source, err := textlog.New(textlog.Config{Paths: c.LogPath, Location: zone})
	if err != nil {
		return fmt.Errorf("jail %q: %w", c.Name, err)
	}
	j.Origin, j.Info.Forgeable = control.OriginFile, !c.TrustLogPath
	if !c.TrustLogPath { // else it may be another host's
		watch(j, c)
	}
	plan.Sources = append(plan.Sources, daemon.Source{Name: "text:" + c.Name, Source: source, Jails: []*daemon.Jail{j}})
	return nil
}

// authLogs are where syslog daemons put what sshd says, on Debian and on Fedora.
func authLogs() []string { return []string{"/var/log/auth.log", "/var/log/secure"} }

// journal opens the journal; where there is none, the log of a syslog daemon.
func (b *builder) journal(wanted journal.Selector) (daemon.Source, error) {
	boot, err := follow.CurrentBoot()
	if err != nil {
		b.log.Debug("The boot id is not to be had; the order of boots is taken from the journal", "error", err)
	}
	open := func() (journal.Source, error) {
		return follow.New(follow.Config{Dirs: b.journalDirs(), Select: wanted, Boot: boot})
	}
	e := &either{log: b.log, files: open, child: func() (journal.Source, error) { return b.journalctl(wanted) }}
	_, err = open()
	switch {
	case errors.Is(err, journalfile.ErrUnsupported):
		_ = e.change(err) // without journalctl the files are tried again
	case errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(authLogs(), readable):
		b.log.Warn("Reading the log of a syslog daemon, whose lines any local user can forge", "reason", err)
		text, err := textlog.New(textlog.Config{Paths: authLogs()})
		return daemon.Source{Name: "text", Source: text}, err
	}
	return daemon.Source{Name: "journal", Source: e, Instead: e.instead}, nil // what cannot be read is tried again
}

// journalctl reads the same journal through journalctl.
func (b *builder) journalctl(wanted journal.Selector) (journal.Source, error) {
	cfg := export.Config{Selector: wanted, Report: func(err error) { b.log.Warn("Started journalctl again", "reason", err) }}
	if dirs := b.journalDirs(); len(b.cfg.JournalDirs) == 1 { // not the machine's own, which is in two
		cfg.Directory = dirs[0]
	}
	return export.New(cfg)
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	_ = f.Close() // it was only read
	return true
}

// journalDirs turns the configured directories into those that hold files: a directory of journals has one for each
// machine.
func (b *builder) journalDirs() []string {
	machine, err := machineID() // which may be another by now
	if err != nil {
		machine = cmp.Or(b.machine, "no-machine-id") // under which nobody finds a journal
	}
	var dirs []string
	for _, dir := range b.cfg.JournalDirs {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.journal")); len(files) > 0 {
			dirs = append(dirs, dir)
			continue
		}
		dirs = append(dirs, filepath.Join(dir, machine))
	}
	return dirs
}

// machineID is the id of this machine, which names the folder of its journal, and is nobody else's business.
func machineID() (string, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return "", fmt.Errorf("read machine id: %w; run systemd-machine-id-setup", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// sessions asks logind, if there is a bus.
func (p *planner) sessions(ctx context.Context) ([]control.Session, error) {
	if p.options.bus == "none" {
		return nil, nil
	}
	return dbusapi.RemoteSessions(ctx, p.options.bus)
}

// service asks systemd.
func (p *planner) service(ctx context.Context, units []string) (control.Service, error) {
	return dbusapi.Units(ctx, p.options.bus, units)
}
