package control

import (
	"cmp"
	"context"
)

// PageMax is how many entries a page may have at most.
const PageMax = 10_000

// Size is the largest number of entries in the page.
func (p Page) Size() int { return min(cmp.Or(max(p.Max, 0), 1000), PageMax) }

// EachBan calls f for every ban from p on, p.Max at a time, until f fails.
func EachBan(ctx context.Context, r Reader, p Page, f func(Ban) error) error {
	for {
		bans, next, err := r.Bans(ctx, p)
		if err != nil {
			return err
		}
		for _, b := range bans {
			if err := f(b); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		p.After = next
	}
}
