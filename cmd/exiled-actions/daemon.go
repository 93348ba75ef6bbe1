package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"

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
	watched := engine.Watched{Version: func() string { return actions.Version("") }, Load: func() (engine.Files, error) { return load(log) }}
	files, err := watched.Load()
	if err != nil {
		return err
	}
	cfg := engine.Config{Dir: actions.StateDir, Log: log, Ask: actions.Asker{Dir: actions.Sockets}.Ask, Bans: bans}
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
	dropped, err := queue.Keep(queues(files))
	if err != nil {
		return fmt.Errorf("clean up the queues: %w", err)
	}
	cfg.Queue = queue
	log.Info("Following exile's events", "actions", len(files.Actions), "broken", len(files.Broken), "dropped", dropped)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // without systemd nobody waits
	engine.Live(ctx, cfg, files, watched)
	return nil
}

// load reads the files of actions, and empties the lists of those that are gone.
func load(log *slog.Logger) (files engine.Files, err error) {
	all, broken, err := actions.Load("")
	if err != nil {
		return files, err
	}
	files.Actions = all
	var names []string
	for _, a := range all {
		names = append(names, a.Name)
	}
	for _, b := range broken {
		names, files.Broken = append(names, b.Name), append(files.Broken, b.Name)
		files.Problems = append(files.Problems, actions.Clean(b.Err.Error()))
		log.Error("Not used: the file has a mistake", "action", b.Name, "error", b.Err)
	}
	emptied, err := actions.EmptyLists(actions.StateDir, names)
	for _, name := range emptied {
		log.Warn("The list of an action that is gone is empty now; reload who reads it", "file", name)
	}
	return files, err
}

// queues returns the names of the actions that have a queue.
func queues(files engine.Files) []string {
	names := slices.Clone(files.Broken)
	for _, a := range files.Actions {
		if !a.Kind.Mirrors() {
			names = append(names, a.Name)
		}
	}
	return names
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
