package main

import (
	"context"
	"slices"
	"time"

	"exile/dbusapi/systemd"
	"exile/internal/config"
	"exile/internal/setup"
	"exile/journal"
	"exile/journal/export"
	"exile/journal/follow"
)

// A unit with LogNamespace= logs to a journald of its own, whose files are in a folder beside the host's. This file finds and reads these. Their
// entries have the same trusted fields: journald is root's there, too.

const (
	// askedEvery is the time between two questions into which namespaces watched units log.
	askedEvery = time.Minute
	// unitsTime is how long systemd may take for an answer.
	unitsTime = 5 * time.Second
	// maxNamespaces is how many namespaces of the units of a jail are read.
	maxNamespaces = 16
)

// namespaces asks systemd into which journal namespaces units log.
func (p *planner) namespaces(ctx context.Context, units []string) ([]string, error) {
	if p.options.bus == "none" || len(units) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, unitsTime)
	defer cancel()
	all, err := systemd.Namespaces(ctx, p.options.bus, units)
	return all[:min(len(all), maxNamespaces)], err
}

// watchedIn returns the units whose lines in the journal filters read.
func watchedIn(all []*setup.Reading) (units []string) {
	for _, r := range all {
		if r.Logs == nil {
			units = append(units, r.Units...)
		}
	}
	slices.Sort(units)
	return slices.Compact(units)
}

// moved reports whether the units of a jail log into other namespaces than those that are read.
func (b *builder) moved(ctx context.Context) bool {
	for i := range b.cfg.Jails {
		c := &b.cfg.Jails[i]
		read, known := b.read[c.Name]
		if !known {
			continue
		}
		if in, err := b.namespaces(ctx, read.units); err == nil && !slices.Equal(read.in, in) {
			b.log.Info("Units of a jail log into another journal namespace", "jail", c.Name)
			return true
		}
	}
	return false
}

// readIn is what a jail reads of the journal.
type readIn struct{ units, in []string }

// namespacesOf returns the namespaces that a jail has to read besides the host's journal. If systemd cannot say, as early in a boot, it is asked again.
func (b *builder) namespacesOf(ctx context.Context, c *config.Jail, all []*setup.Reading) []string {
	units := watchedIn(all)
	in, err := b.namespaces(ctx, units)
	if err != nil {
		b.log.Debug("Cannot ask into which journal namespaces units log", "jail", c.Name, "error", err)
	}
	if b.read == nil {
		b.read = make(map[string]readIn)
	}
	b.read[c.Name] = readIn{units, in}
	return in
}

// namespace returns the source of a journal namespace.
func (b *builder) namespace(name string, wanted setup.Sought) journal.Source {
	return &awaited{&journalSource{
		log: b.log,
		files: func() (journal.Source, error) {
			dirs, err := follow.SystemDirs(name)
			if err != nil {
				return nil, err
			}
			return follow.New(follow.Config{Dirs: dirs, Select: wanted.Select, Fields: wanted.Fields, AllUsers: wanted.Users})
		},
		child: func() (journal.Source, error) {
			return export.New(export.Config{Selector: wanted.Select, Fields: wanted.Fields, Namespace: name})
		},
	}}
}

// awaited is a source that may come late or go, beside others that must not wait for it.
type awaited struct{ journal.Source }

// awaitEvery is the time between two attempts to read it.
const awaitEvery = 2 * time.Second

// Follow implements journal.Source. What keeps the source from being read is trouble, and not the end.
func (a *awaited) Follow(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	var refused error
	for {
		err := a.Source.Follow(ctx, from, func(batch journal.Batch) error {
			if !batch.Position.IsZero() {
				from = journal.Start{Resume: batch.Position}
			}
			refused = emit(batch)
			return refused
		})
		if ctx.Err() != nil {
			return nil
		}
		if refused != nil {
			return refused
		}
		if refused = emit(journal.Batch{CaughtUp: true, Position: from.Resume, Trouble: err}); refused != nil {
			return refused
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(awaitEvery):
		}
	}
}
