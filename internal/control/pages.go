package control

import "context"

// EachBan calls f with every ban that p asks for and those behind it, p.Max at a time, until f fails.
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
