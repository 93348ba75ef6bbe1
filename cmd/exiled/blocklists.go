package main

import (
	"fmt"
	"net/netip"

	"exile/firewall/auto"
	"exile/firewall/blocklist"
	"exile/internal/daemon"
	"exile/internal/lists"
)

// openBlocklists gives the plan its block lists. They are sets of nftables, whichever backend bans: rules of ipset are, too, and
// route knows no packets that open connections.
func (b *builder) openBlocklists(plan *daemon.Plan) error {
	cfg := lists.Config{Protected: b.protected, Log: b.log}
	for _, l := range b.cfg.Blocklists {
		cfg.Files = append(cfg.Files, lists.File(l))
	}
	if plan.Name != auto.DryRun && !b.options.check {
		if err := b.openTable(); err != nil {
			if len(cfg.Files) > 0 {
				return fmt.Errorf("%s: blocklists: %w", b.cfg.Origin("", "blocklists"), err)
			}
			return nil // no list was ever in this kernel
		}
		cfg.Kernel = b.blocks
	}
	b.keeper = lists.New(cfg)
	if len(cfg.Files) > 0 {
		plan.Blocklists = b.keeper
	}
	return nil
}

// openTable opens the table of the lists, which outlasts the plan: it counts what they stop.
func (p *planner) openTable() (err error) {
	if p.blocks == nil {
		p.blocks, err = blocklist.New(blocklist.Config{})
	}
	return err
}

// protected are the addresses that any jail never bans.
func (b *builder) protected() (all []netip.Prefix) {
	for _, list := range b.allowed {
		all = append(all, list.Prefixes()...)
	}
	return all
}
