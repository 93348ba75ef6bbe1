package nftables

import (
	"context"

	"github.com/google/nftables/expr"
)

// Dropped implements firewall.Meter.
func (b *Backend) Dropped(ctx context.Context) (map[string]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rules, err := b.conn.GetRules(b.table(), b.chain())
	if err != nil {
		return nil, unlessMissing("counters", err)
	}
	dropped := make(map[string]uint64)
	for _, r := range rules {
		var packets uint64
		for _, e := range r.Exprs { // before ruleClass, which ignores the counter
			if c, ok := e.(*expr.Counter); ok {
				packets = c.Packets
			}
		}
		if c, ok := ruleClass(r); ok {
			dropped[c.name()] = packets
		}
	}
	return dropped, nil
}
