package main

import (
	"context"
	"fmt"

	"exile/firewall"
	"exile/firewall/auto"
	"exile/internal/config"
	"exile/internal/daemon"
)

// open gives the plan the backend that is asked for, which may be the one in use.
func (p *planner) open(ctx context.Context, cfg *config.Config, plan *daemon.Plan) error {
	wanted := cfg.Backend
	if p.options.dryRun {
		wanted = auto.DryRun
	}
	if p.backend.Backend == nil || p.wanted != wanted {
		if err := p.choose(ctx, wanted); err != nil {
			return fmt.Errorf("backend %s: %w", wanted, err)
		}
	}
	plan.Backend, plan.Name, plan.Why = p.backend.Backend, p.backend.Name, p.backend.Why
	if p.lock != nil {
		plan.Sweep = func(ctx context.Context) error { return auto.Sweep(ctx, plan.Name) }
	}
	return nil
}

// choose locks the firewall, if it is to be changed, and chooses the backend.
func (p *planner) choose(ctx context.Context, wanted string) (err error) {
	if wanted != auto.DryRun && p.lock == nil {
		if p.lock, err = firewall.Acquire(0); err != nil {
			return err
		}
	}
	choice, err := auto.Choose(ctx, wanted, p.backend)
	if err != nil {
		return err
	}
	p.backend, p.wanted = choice, wanted
	p.log.Info("Chose the backend", "backend", choice.Name, "why", choice.Why)
	return nil
}

// close gives the lock back.
func (p *planner) close() {
	if p.lock != nil {
		_ = p.lock.Close() // it goes with the process anyway
	}
}
