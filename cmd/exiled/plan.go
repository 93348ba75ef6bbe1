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

	"exile/dbusapi/systemd"
	"exile/firewall"
	"exile/firewall/auto"
	"exile/firewall/blocklist"
	"exile/internal/allow"
	"exile/internal/config"
	"exile/internal/control"
	"exile/internal/daemon"
	"exile/internal/setup"
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
	machine string         // the machine ID at the start; empty if unknown
	loaded  *config.Config // of the start, checked before anything else was touched; nil afterwards
	kept    string         // the folder for the last configuration that worked; empty: it is not kept

	lock    *firewall.Lock // of the firewall, from the first backend that changes it to the end; nil: not locked yet
	backend auto.Choice    // in use; kept over a reload that does not change it
	wanted  wish           // what the configuration said when it was chosen
	shown   shown
	lists   []*allow.List    // of the last plan: who was never banned
	blocks  *blocklist.Table // lists in the kernel, from the first plan that may change it to the end; nil: not opened yet
	tried   time.Time        // when a better plan was last made, or tried; for the loop of the daemon
}

// plan reads the configuration, whose main file the text of a trial may replace, and builds what it asks for.
func (p *planner) plan(ctx context.Context, trial string) (*daemon.Plan, error) {
	cfg, err := p.config(p.sources(trial))
	if err != nil {
		return nil, err
	}
	return p.planFor(ctx, cfg, trial == "" && p.kept != "")
}

func (p *planner) sources(trial string) config.Sources {
	return config.Sources{File: p.options.config, Text: trial, Exists: logExists}
}

// planFor builds what a configuration asks for. Once in force the configuration is stored, if that is wanted.
func (p *planner) planFor(ctx context.Context, cfg *config.Config, keep bool) (*daemon.Plan, error) {
	prepare := makeState
	if p.options.check {
		prepare = checkState
	}
	if err := prepare(cfg); err != nil {
		return nil, err
	}
	b := &builder{
		planner: p, cfg: cfg, keeps: keep, commands: allow.NewCommands(),
		accounts: newAcquaintance(accountsFile, passwdFile), admins: newAdministration(groupFile, passwdFile),
		places: newPlaces(cfg),
	}
	b.places.use(b.places.read(time.Now())) // before anything is counted
	b.meetStrangers(ctx)
	plan := &daemon.Plan{File: p.sources("").Main(), PurgeAge: cfg.PurgeAge, MaxBans: cfg.MaxBans, Serve: b.serve, Sessions: p.sessions, Places: b.places.Trouble}
	if p.options.bus != "none" {
		plan.Service, plan.Services = p.service, p.services
	}
	if err := errors.Join(b.jails(ctx, plan), b.recidive(plan)); err != nil {
		return nil, err
	}
	if err := p.open(ctx, cfg, plan); err != nil {
		return nil, err
	}
	p.lists = b.allowed
	plan.Better = b.better
	return plan, b.openBlocklists(plan)
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
func (b *builder) jails(ctx context.Context, plan *daemon.Plan) error {
	var readers []*daemon.Jail // of the journal alone
	var wanted setup.Sought
	for i := range b.cfg.Jails {
		c := &b.cfg.Jails[i]
		if !c.Enabled {
			continue
		}
		read := b.choose(c)
		b.choices.note(c.Name, read)
		j, err := b.build(c, read)
		if err != nil {
			return err
		}
		plan.Jails = append(plan.Jails, j)
		if c.ByHand {
			b.log.Info("No jail is enabled: there are only bans by hand", "jail", c.Name)
			continue
		}
		watch(j, c, read)
		j.Namespaces = b.namespacesOf(ctx, c, read)
		if !setup.FromJournal(read) || len(j.Namespaces) > 0 {
			if err := b.ownSource(plan, j, c, read); err != nil {
				return err
			}
			continue
		}
		readers = append(readers, j)
		wanted.Add(setup.Seek(read))
	}
	if len(readers) == 0 {
		return nil
	}
	source, err := b.journal(wanted)
	if err != nil {
		return err
	}
	source.Jails = readers
	for _, j := range readers {
		if source.Name == "text" {
			j.Origin, j.Info.Forgeable, j.Info.Logs = control.OriginFile, true, setup.AuthLogs()
		}
	}
	plan.Sources = append(plan.Sources, source)
	return nil
}

// journalError returns why the journal cannot be read.
func (b *builder) journalError() error {
	_, err := follow.New(follow.Config{Dirs: b.journalDirs()})
	if errors.Is(err, journalfile.ErrUnsupported) {
		return nil // journalctl can read it
	}
	return err
}

// journal opens the journal or, without one, the log of a syslog daemon.
func (b *builder) journal(wanted setup.Sought) (daemon.Source, error) {
	boot, err := follow.CurrentBoot()
	if err != nil {
		b.log.Debug("Cannot read the boot ID; the order of boots is taken from the journal", "error", err)
	}
	open := func() (journal.Source, error) {
		return follow.New(follow.Config{
			Dirs: b.journalDirs(), Select: wanted.Select, Fields: wanted.Fields, AllUsers: wanted.Users, Boot: boot,
		})
	}
	e := &journalSource{log: b.log, files: open, child: func() (journal.Source, error) { return b.journalctl(wanted) }}
	_, err = open()
	switch {
	case errors.Is(err, journalfile.ErrUnsupported):
		_ = e.change(err) // without journalctl the files are tried again
	case errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(setup.AuthLogs(), readable):
		b.noJournal = true
		b.log.Warn("Reading the log of a syslog daemon, whose lines any local user can forge", "reason", err)
		text, err := textlog.New(textlog.Config{Paths: setup.AuthLogs()})
		return daemon.Source{Name: "text", Source: text}, err
	}
	return daemon.Source{Name: "journal", Source: e, Instead: e.instead}, nil // what cannot be read is tried again
}

// journalctl reads the same journal through journalctl.
func (b *builder) journalctl(wanted setup.Sought) (journal.Source, error) {
	cfg := export.Config{Selector: wanted.Select, Fields: wanted.Fields, Report: func(err error) { b.log.Warn("Started journalctl again", "reason", err) }}
	if dirs := b.journalDirs(); len(b.cfg.JournalDirs) == 1 { // the journal of the machine itself is in two folders
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

// journalDirs returns the folders with files in the configured folders, which have one for each machine.
func (b *builder) journalDirs() []string {
	machine, err := machineID() // it may have changed
	if err != nil {
		machine = cmp.Or(b.machine, "no-machine-id") // no journal has that name
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

// machineID returns the ID of this machine, which names the folder of its journal and is confidential.
func machineID() (string, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return "", fmt.Errorf("read machine id: %w; run systemd-machine-id-setup", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// sessions lists the sessions of logind, if there is a bus.
func (p *planner) sessions(ctx context.Context) ([]control.Session, error) {
	if p.options.bus == "none" {
		return nil, nil
	}
	return systemd.RemoteSessions(ctx, p.options.bus)
}

// service asks systemd about a service.
func (p *planner) service(ctx context.Context, units []string) (control.Service, error) {
	s, err := systemd.Units(ctx, p.options.bus, units)
	s.LogLines = limitOf("/", units).perMinute()
	return s, err
}

// services asks systemd which SSH servers are running. All services would be too many to ask about each minute.
func (p *planner) services(ctx context.Context) ([]control.Program, error) {
	return systemd.Programs(ctx, p.options.bus, []string{"*ssh*.service"}, "sshd")
}
