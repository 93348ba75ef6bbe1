package ipset

import (
	"context"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Dropped implements firewall.Meter.
func (b *Backend) Dropped(ctx context.Context) (map[string]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if whole, err := b.intact(); err != nil || !whole {
		return nil, explain(err)
	}
	packets := make(map[nftables.TableFamily][]uint64)
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		counts, err := b.rules.counts(family)
		if err != nil {
			return nil, fmt.Errorf("read counters of nftables table %s: %w", b.rules.name, explain(err))
		}
		packets[family] = counts
	}
	dropped := make(map[string]uint64)
	for _, s := range b.sets { // each has a rule, in their order
		if counts := packets[s.table]; len(counts) > 0 {
			dropped[s.name], packets[s.table] = counts[0], counts[1:]
		}
	}
	return dropped, nil
}

// counts is how many packets each rule of the family has dropped.
func (r *rules) counts(family nftables.TableFamily) ([]uint64, error) {
	rules, err := r.conn.GetRules(r.table(family), &nftables.Chain{Name: chainName})
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var counts []uint64
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				counts = append(counts, c.Packets)
			}
		}
	}
	return counts, nil
}
