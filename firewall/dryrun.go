package firewall

import (
	"context"
	"slices"
	"time"
)

// DryRun is the backend that bans nobody: it keeps the bans in memory until they end. It never talks to the kernel, so it
// needs no privilege and no lock. Make it with NewDryRun.
type DryRun struct {
	bans   map[Key]time.Time
	spared []Spared
}

// NewDryRun returns a backend without bans.
func NewDryRun() *DryRun { return &DryRun{bans: make(map[Key]time.Time)} }

// List returns the bans that would hold now.
func (d *DryRun) List(ctx context.Context) ([]Ban, error) {
	now := time.Now()
	var bans []Ban
	for k, until := range d.bans {
		if !until.IsZero() && !until.After(now) {
			delete(d.bans, k)
			continue
		}
		bans = append(bans, Ban{k, until})
	}
	return bans, ctx.Err()
}

// Apply remembers the change.
func (d *DryRun) Apply(ctx context.Context, c Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, b := range c.Add {
		d.bans[b.Key] = b.Until
	}
	for _, k := range c.Del {
		delete(d.bans, k)
	}
	return nil
}

// Spare remembers what would be spared.
func (d *DryRun) Spare(ctx context.Context, all []Spared) error {
	if err := CheckSpared(all); err != nil {
		return err
	}
	d.spared = SortSpared(all)
	return ctx.Err()
}

// Spared returns what would be spared.
func (d *DryRun) Spared(ctx context.Context) ([]Spared, error) {
	return slices.Clone(d.spared), ctx.Err()
}

// Destroy forgets all bans, and what is spared.
func (d *DryRun) Destroy(ctx context.Context) error {
	clear(d.bans)
	d.spared = nil
	return ctx.Err()
}

// Close does nothing.
func (d *DryRun) Close() error { return nil }

// Empty forgets all bans.
func (d *DryRun) Empty(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	clear(d.bans)
	return nil
}
