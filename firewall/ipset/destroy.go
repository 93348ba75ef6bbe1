package ipset

import (
	"context"
	"errors"
	"fmt"
)

// This file takes all that is ours out of the kernel.

// Destroy removes our tables and sets. The backend makes them again when it is next asked to ban.
func (b *Backend) Destroy(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.whole, b.disowned, b.rules.spared = false, false, nil
	clear(b.long)
	if err := b.rules.destroy(); err != nil {
		return fmt.Errorf("destroy tables %s: %w", b.rules.name, explain(err))
	}
	for _, s := range b.sets {
		for _, name := range s.names() {
			if err := b.kernel.destroy(ctx, name); err != nil {
				return fmt.Errorf("destroy ipset %s: %w", name, explain(err))
			}
		}
		s.maxElem = b.cfg.MaxElem
	}
	return nil
}

// Empty removes the sets: a million entries take 25 ms. A set that rules of another program use stays, without a ban in it.
func (b *Backend) Empty(ctx context.Context) error {
	err := b.Destroy(ctx)
	if !errors.Is(err, errBusy) {
		return err
	}
	for _, s := range b.sets {
		for _, name := range s.names() {
			if err := b.kernel.flush(name); err != nil {
				return fmt.Errorf("flush ipset %s: %w", name, explain(err))
			}
		}
	}
	return nil
}

// names are those of the set, and of the one that it grows into.
func (s *set) names() [2]string { return [2]string{s.name, s.name + "-grow"} }
