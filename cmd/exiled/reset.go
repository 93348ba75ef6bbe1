package main

import (
	"context"
	"errors"

	"exile/firewall"
	"exile/firewall/auto"
)

// reset removes from the kernel what any backend ever put there, for a host that exile leaves. It refuses while an exiled
// runs, which would put it back.
func reset(ctx context.Context) error {
	lock, err := firewall.Acquire(0)
	if err != nil {
		return err
	}
	return errors.Join(auto.Sweep(ctx, ""), lock.Close())
}
