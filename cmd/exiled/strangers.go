package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"exile/internal/allow"
	"exile/internal/names"
	"exile/jail"
)

// strangersWait is how long the start waits for the translators, so that nothing is counted before.
const strangersWait = time.Second

// shown are the translators that DNS64 shows, if the configuration asks for them. The loop owns it.
type shown struct {
	asked    bool
	prefixes []netip.Prefix
}

// meetStrangers finds out in which networks neighbours are strangers. A reload, which must not be delayed, uses the last answer.
func (b *builder) meetStrangers(ctx context.Context) {
	b.strangers = new(jail.Strangers)
	if b.cfg.NAT64.Auto && !b.shown.asked {
		ctx, cancel := context.WithTimeout(ctx, strangersWait)
		defer cancel()
		var err error
		if b.shown.prefixes, err = allow.Translators(ctx, names.System{}); err != nil {
			b.log.Debug("Cannot tell yet whether IPv4 arrives here through NAT64", "error", err)
		}
		b.shown.asked = true
	}
	b.nameStrangers()
}

// nameStrangers tells all jails and detectors which translators there are.
func (b *builder) nameStrangers() {
	prefixes := b.cfg.NAT64.Prefixes
	if b.cfg.NAT64.Auto {
		prefixes = slices.Concat(prefixes, b.shown.prefixes)
	}
	b.strangers.SetNAT64(prefixes)
}

// followStrangers does so each time that the answer of DNS64 changes, until ctx ends.
func (b *builder) followStrangers(ctx context.Context, do func(change func()) error) {
	if !b.cfg.NAT64.Auto {
		return
	}
	allow.FollowTranslators(ctx, names.System{}, func(prefixes []netip.Prefix) {
		_ = do(func() { // fails only at the end
			if !slices.Equal(prefixes, b.shown.prefixes) {
				b.log.Info("The NAT64 prefixes of this network have changed", "prefixes", prefixes)
			}
			b.shown.prefixes = prefixes
			b.nameStrangers()
		})
	})
}
