package main

import (
	"context"
	"fmt"

	"exile/firewall/auto"
	"exile/internal/config"
)

// open opens the backend that is asked for, unless it is in use already.
func (p *planner) open(ctx context.Context, cfg *config.Config) error {
	wanted := cfg.Backend
	if p.options.dryRun {
		wanted = auto.DryRun
	}
	if p.backend.Backend != nil && p.backend.wanted == wanted {
		return nil
	}
	if p.backend.Backend != nil {
		return fmt.Errorf("%s: backend %s: %s is in use, and a reload cannot exchange it: restart exiled",
			cfg.Origin("", "backend"), wanted, p.backend.wanted)
	}
	backend, name, why, err := auto.Choose(ctx, wanted)
	if err != nil {
		return fmt.Errorf("backend %s: %w", wanted, err)
	}
	p.backend = opened{backend, wanted, name, why}
	p.log.Info("Chose the backend", "backend", name, "why", why)
	return nil
}
