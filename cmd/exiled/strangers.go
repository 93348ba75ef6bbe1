package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"exile/internal/allow"
	"exile/jail"
)

// strangersWait is how long the start waits to be told of translators, so that nothing is counted before.
const strangersWait = time.Second

// shown is what DNS64 shows of translators, while the configuration wants to know. The loop owns it.
type shown struct {
	asked    bool
	prefixes []netip.Prefix
}

// meetStrangers finds out in which networks neighbours are strangers. A reload, which nobody may hold up, goes by what was
// told last.
func (b *builder) meetStrangers(ctx context.Context) {
	b.strangers = new(jail.Strangers)
	if b.cfg.NAT64.Auto && !b.shown.asked {
		ctx, cancel := context.WithTimeout(ctx, strangersWait)
		defer cancel()
		var err error
		if b.shown.prefixes, err = allow.Translators(ctx, allow.System{}); err != nil {
			b.log.Debug("Nobody says yet whether IPv4 comes here over NAT64", "error", err)
		}
		b.shown.asked = true
	}
	b.nameStrangers()
}

// nameStrangers tells all that count which translators there are.
func (b *builder) nameStrangers() {
	prefixes := b.cfg.NAT64.Prefixes
	if b.cfg.NAT64.Auto {
		prefixes = slices.Concat(prefixes, b.shown.prefixes)
	}
	b.strangers.SetNAT64(prefixes)
}

// followStrangers does so again each time that DNS64 shows something else, until ctx ends.
func (b *builder) followStrangers(ctx context.Context, do func(change func()) error) {
	if !b.cfg.NAT64.Auto {
		return
	}
	allow.FollowTranslators(ctx, allow.System{}, func(prefixes []netip.Prefix) {
		_ = do(func() { // fails only at the end
			if !slices.Equal(prefixes, b.shown.prefixes) {
				b.log.Info("IPv4 comes here over NAT64 by other prefixes now", "prefixes", prefixes)
			}
			b.shown.prefixes = prefixes
			b.nameStrangers()
		})
	})
}
