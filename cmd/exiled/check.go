package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall"
	"exile/firewall/auto"
	"exile/internal/config"
	"exile/internal/daemon"
	"exile/jail"
	"exile/journal"
)

// check builds what the files ask for, as a start does, without putting it in force; any user may call it, also beside a running daemon. The
// error is what would make a start fail; what would degrade it, or what it would warn of, is written to doubts.
func check(ctx context.Context, o options, doubts io.Writer) error {
	log := slog.New(handler{out: doubtful{doubts}, level: slog.LevelWarn})
	machine, err := machineID()
	if err != nil {
		log.Warn("Cannot tell which journal is that of this machine", "error", err)
	}
	p := &planner{options: o, log: log, machine: machine}
	cfg, err := config.Load(p.sources(""))
	if err != nil {
		return err
	}
	p.loaded = cfg
	plan, err := p.plan(ctx, "")
	if err != nil {
		return err
	}
	for _, j := range plan.Jails {
		p.checkUnits(ctx, plan, j)
	}
	p.checkLists(ctx, cfg, plan)
	p.checkPlaces(cfg, plan)
	for i := range cfg.Jails {
		p.checkPaths(&cfg.Jails[i])
	}
	for _, s := range plan.Sources {
		p.checkSource(ctx, s)
	}
	return nil
}

// doubtful marks each line. It is called with one line at a time.
type doubtful struct{ io.Writer }

func (d doubtful) Write(line []byte) (int, error) {
	_, err := fmt.Fprintf(d.Writer, "Warning: %s", line)
	return len(line), err
}

// checkUnits warns of a jail whose service is not installed. Without a bus that is unknown.
func (p *planner) checkUnits(ctx context.Context, plan *daemon.Plan, j *daemon.Jail) {
	if len(j.Watched) == 0 || plan.Service == nil {
		return
	}
	if s, err := plan.Service(ctx, j.Watched); err == nil && !s.Exists {
		p.log.Warn("No unit of the jail exists", "jail", j.Info.Name, "units", strings.Join(j.Watched, " "))
	}
}

// askTime is how long host names are resolved.
const askTime = 3 * time.Second

// checkLists warns of entries of ignoreip that the daemon could not protect.
func (p *planner) checkLists(ctx context.Context, cfg *config.Config, plan *daemon.Plan) {
	named := func(g jail.Ignore) bool { return g.Host != "" }
	if slices.ContainsFunc(cfg.Jails, func(c config.Jail) bool { return c.Enabled && slices.ContainsFunc(c.IgnoreIP, named) }) {
		asking, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		_ = plan.Serve(asking, func(func()) error { return asking.Err() }) // ends with the time
	}
	for _, j := range plan.Jails {
		if j.Allowlist == nil {
			continue
		}
		if err := j.Allowlist.Trouble(); err != nil {
			p.log.Warn("Some entries of ignoreip are not protected", "jail", j.Info.Name, "error", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}

// checkPlaces warns of databases that cannot be used, or that the service does not see.
func (p *planner) checkPlaces(cfg *config.Config, plan *daemon.Plan) {
	p.checkSeen("", cfg.GeoIP)
	if wrong := plan.Places(); wrong != nil {
		p.log.Warn("A database of countries or networks cannot be used", "place", cfg.Origin("", "geoip"), "error", strings.ReplaceAll(wrong.Error(), "\n", "; "))
	}
}

// checkPaths warns of files that the service does not see although they exist.
func (p *planner) checkPaths(c *config.Jail) {
	if !c.Enabled {
		return
	}
	paths := append([]string{}, c.LogPath...)
	for _, g := range c.IgnoreIP {
		paths = append(paths, g.File)
	}
	if len(c.IgnoreCommand) > 0 {
		paths = append(paths, c.IgnoreCommand[0])
	}
	p.checkSeen(c.Name, paths)
}

// checkSeen warns of those of the paths that the service does not see.
func (p *planner) checkSeen(jail string, paths []string) {
	for _, path := range paths {
		for _, dir := range []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"} {
			if strings.HasPrefix(path, dir) {
				p.log.Warn("exiled.service does not see this folder (ProtectHome=, PrivateTmp=)", "jail", cmp.Or(jail, "all"), "path", path)
			}
		}
	}
}

// sourceTime is how long a log may take to show whether it can be read.
const sourceTime = 5 * time.Second

// checkSource starts to read a log at its end, and warns if that fails.
func (p *planner) checkSource(ctx context.Context, s daemon.Source) {
	ctx, cancel := context.WithTimeout(ctx, sourceTime)
	defer cancel()
	var trouble error
	err := s.Follow(ctx, journal.Start{Since: time.Now()}, func(b journal.Batch) error {
		trouble = b.Trouble
		if b.CaughtUp {
			cancel()
		}
		return nil
	})
	if err = errors.Join(err, trouble); err != nil && !errors.Is(err, context.Canceled) {
		p.log.Warn("A log cannot be read", "source", s.Name, "error", err)
	}
}

// checkState checks whether a start could create and write the folder of the state. The usual folder is not checked: systemd creates and repairs
// it at each start, and the user of the daemon, who owns it, could make it look like a mistake in the configuration.
func checkState(cfg *config.Config) error {
	if strings.HasPrefix(cfg.StateDir+"/", usualState+"/") {
		return nil
	}
	for dir := cfg.StateDir; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue // check the one above
		}
		if err == nil {
			err = unix.Access(dir, unix.W_OK|unix.X_OK)
		}
		if err == nil {
			return nil
		}
		return fmt.Errorf("%s: state: exiled cannot write to %s: %w", cfg.Origin("", "state"), dir, err)
	}
}

// usualState is the StateDirectory= of exiled.service.
const usualState = "/var/lib/exile"

// checkBackend tries the backend that would be chosen, if the caller may change the kernel.
func (p *planner) checkBackend(ctx context.Context, wanted wish) (auto.Choice, error) {
	if !mayBan() {
		p.log.Warn("Did not try the backend, which needs CAP_NET_ADMIN", "backend", wanted.backend)
		return auto.Choice{Backend: firewall.NewDryRun(), Name: auto.DryRun}, nil
	}
	return auto.Check(ctx, wanted.backend, wanted.limited != "")
}

// mayBan reports whether this process has CAP_NET_ADMIN.
func mayBan() bool {
	var sets [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return unix.Capget(&header, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}
