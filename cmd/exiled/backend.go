package main

import (
	"context"
	"errors"
	"fmt"

	"exile/firewall"
	"exile/firewall/auto"
	"exile/firewall/sockdestroy"
	"exile/internal/config"
	"exile/internal/daemon"
)

// open gives the plan the configured backend, which may be the one in use.
func (p *planner) open(ctx context.Context, cfg *config.Config, plan *daemon.Plan) error {
	wanted := wish{cfg.Backend, limited(plan.Jails)}
	if p.options.dryRun {
		wanted.backend = auto.DryRun
	}
	if p.backend.Backend == nil || p.wanted != wanted {
		err := p.choose(ctx, wanted)
		if errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("%s: jail %q: port: backend %s: %w; set port: all, or backend: ipset or nftables",
				cfg.Origin(wanted.limited, "port"), wanted.limited, wanted.backend, err)
		}
		if err != nil {
			return fmt.Errorf("backend %s: %w", wanted.backend, err)
		}
	}
	plan.Backend, plan.Name, plan.Why = p.backend.Backend, p.backend.Name, p.backend.Why
	if cfg.KillConnections && plan.Name != auto.DryRun {
		plan.Kill = kill
	}
	plan.Connections = sockdestroy.From
	_, able := plan.Backend.(firewall.Sparer)
	for _, j := range plan.Jails {
		j.SpareSessions(able)
		j.Whole = !p.backend.Ports
	}
	if p.lock != nil {
		plan.Sweep = func(ctx context.Context) error { return auto.Sweep(ctx, plan.Name) }
	}
	return nil
}

func kill(ctx context.Context, keys []firewall.Key, spared []firewall.Spared) error {
	_, err := sockdestroy.Kill(ctx, keys, spared)
	return err
}

// wish is what the configuration says about the backend.
type wish struct {
	backend string
	limited string // a jail that bans from some ports only; empty: none does
}

// limited is the first jail that bans from some ports only, if any.
func limited(jails []*daemon.Jail) string {
	for _, j := range jails {
		if len(j.Ports) > 0 && !j.Simulate {
			return j.Info.Name
		}
	}
	return ""
}

// choose locks the firewall, if it will be changed, and chooses the backend.
func (p *planner) choose(ctx context.Context, wanted wish) (err error) {
	if p.options.check {
		p.backend, err = p.checkBackend(ctx, wanted)
		return err
	}
	if wanted.backend != auto.DryRun && p.lock == nil {
		if p.lock, err = firewall.Acquire(0); err != nil {
			return err
		}
	}
	choice, err := auto.Choose(ctx, wanted.backend, wanted.limited != "", p.backend)
	if err != nil {
		return err
	}
	p.log.Info("Chose the backend", "backend", choice.Name, "why", choice.Why)
	p.backend, p.wanted = choice, wanted
	return nil
}

// close releases the lock.
func (p *planner) close() {
	if p.blocks != nil {
		_ = p.blocks.Close() // likewise
	}
	if p.lock != nil {
		_ = p.lock.Close() // it goes with the process anyway
	}
}
