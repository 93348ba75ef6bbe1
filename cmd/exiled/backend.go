package main

import (
	"context"
	"errors"
	"fmt"

	"exile/firewall"
	"exile/firewall/ipset"
	"exile/firewall/route"
	"exile/internal/config"
)

// open opens the backend that is asked for, unless it is in use already.
func (p *planner) open(_ context.Context, cfg *config.Config) error {
	wanted := cfg.Backend
	if p.backend.Backend != nil && p.backend.wanted == wanted {
		return nil
	}
	backend, name, why, err := choose(wanted)
	if err != nil {
		return fmt.Errorf("backend %s: %w", wanted, err)
	}
	p.backend = opened{backend, wanted, name, why}
	p.log.Info("Chose the backend", "backend", name, "why", why)
	return nil
}

func choose(wanted string) (firewall.Backend, string, string, error) {
	var failed error
	if wanted == "auto" || wanted == "ipset" {
		b, err := ipset.New(ipset.Config{})
		if err == nil {
			return b, "ipset", "the kernel has it", nil
		}
		failed = errors.Join(failed, err)
	}
	if wanted == "auto" || wanted == "route" {
		b, err := route.New(route.Config{})
		if err == nil {
			return b, "route", fmt.Sprint(failed), nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, "", "", failed
}
