package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/daemon"

	"exile/internal/actions"
	"exile/internal/actions/engine"
	"exile/internal/announce"
	"exile/internal/control"
	"exile/internal/varlink"
	"exile/journal"
	"exile/journal/follow"
)

// watch follows exile's events until ctx ends.
func watch(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	all, broken, err := actions.Load("")
	if err != nil {
		return err
	}
	cfg := engine.Config{Actions: all, Dir: actions.StateDir, Log: log, Ask: actions.Asker{Dir: actions.Sockets}.Ask, Bans: bans}
	var names, queues []string
	for _, a := range all {
		if names = append(names, a.Name); !a.Kind.Mirrors() {
			queues = append(queues, a.Name)
		}
	}
	for _, b := range broken {
		names, queues, cfg.Broken = append(names, b.Name), append(queues, b.Name), append(cfg.Broken, b.Name)
		cfg.Problems = append(cfg.Problems, actions.Clean(b.Err.Error()))
		log.Error("Not used: the file has a mistake", "action", b.Name, "error", b.Err)
	}
	if cfg.Host, err = os.Hostname(); err != nil {
		return fmt.Errorf("ask for the host name: %w", err)
	}
	if cfg.Source, err = source(); err != nil {
		return err
	}
	queue, err := engine.OpenQueue(filepath.Join(actions.StateDir, "queue.db"))
	if queue == nil {
		return err
	}
	if err != nil {
		log.Warn("The queues begin anew", "error", err)
	}
	defer queue.Close()
	dropped, err := queue.Keep(queues)
	if err != nil {
		return fmt.Errorf("clean up the queues: %w", err)
	}
	emptied, err := actions.EmptyLists(actions.StateDir, names)
	if err != nil {
		return err
	}
	for _, name := range emptied {
		log.Warn("The list of an action that is gone is empty now; reload who reads it", "file", name)
	}
	cfg.Queue = queue
	log.Info("Following exile's events", "actions", len(all), "broken", len(broken), "dropped", dropped)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // without systemd nobody waits
	engine.New(cfg).Run(ctx)
	return nil
}

// source is the journal of this host.
func source() (journal.Source, error) {
	dirs, err := follow.SystemDirs("")
	if err != nil {
		return nil, err
	}
	boot, _ := follow.CurrentBoot() // the sandbox may hide it; then the clock of the day orders boots
	users := []string{"0"}
	if u, err := user.Lookup("exile"); err == nil {
		users = append(users, u.Uid)
	}
	return follow.New(follow.Config{Dirs: dirs, Select: engine.Select(users), Boot: boot, Prefix: announce.Prefix})
}

// bans asks exiled for its bans.
func bans(ctx context.Context, f func(control.Ban) error) error {
	c, err := varlink.Dial(ctx, varlink.Path)
	if err != nil {
		return err
	}
	return control.EachBan(ctx, c, control.Page{Max: control.PageMax}, f)
}

// withoutTime leaves the time to the journal.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
