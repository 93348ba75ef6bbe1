package nftables

import (
	"context"
	"slices"

	"exile/firewall"
	"exile/firewall/internal/spare"
)

// Spare implements firewall.Sparer. It makes chain and rules anew, in one transaction with what is spared, so their counters
// begin at 0.
func (b *Backend) Spare(ctx context.Context, all []firewall.Spared) error {
	if err := firewall.CheckSpared(all); err != nil {
		return err
	}
	b.spared, b.asked = slices.Clone(all), true
	have, err := b.Spared(ctx)
	if err != nil || firewall.SameSpared(have, all) {
		return err
	}
	b.framed = 0
	return b.Apply(ctx, firewall.Change{})
}

// Spared implements firewall.Sparer.
func (b *Backend) Spared(ctx context.Context) ([]firewall.Spared, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return spare.Read(b.conn, b.chain())
}

// knowSpared makes sure that we know what an earlier run spared, before the rules are made anew.
func (b *Backend) knowSpared() error {
	if b.asked {
		return nil
	}
	all, err := spare.Read(b.conn, b.chain())
	if err == nil {
		b.spared, b.asked = all, true
	}
	return err
}
