package ipset

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/nftables"

	"exile/firewall"
	"exile/firewall/internal/spare"
)

// Spare implements firewall.Sparer: by sets of nftables, beside the rules, as ip sets know no connection with both its
// ports. The rules are made anew, in one transaction with what is spared, and what they had counted begins at 0.
func (b *Backend) Spare(ctx context.Context, all []firewall.Spared) error {
	if err := firewall.CheckSpared(all); err != nil {
		return err
	}
	b.rules.spared, b.whole = slices.Clone(all), false
	have, err := b.Spared(ctx)
	if err != nil || firewall.SameSpared(have, all) {
		return err
	}
	return b.build()
}

// Spared implements firewall.Sparer.
func (b *Backend) Spared(ctx context.Context) ([]firewall.Spared, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return b.rules.read()
}

// read returns what both tables spare.
func (r *rules) read() (all []firewall.Spared, err error) {
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		of, err := spare.Read(r.conn, &nftables.Chain{Name: chainName, Table: r.table(family)})
		if err != nil {
			return nil, fmt.Errorf("nftables table %s: %w", r.name, explain(err))
		}
		all = append(all, of...)
	}
	return all, nil
}
