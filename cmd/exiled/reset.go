package main

import (
	"context"
	"errors"

	"exile/firewall"
	"exile/firewall/auto"
)

// reset removes from the kernel everything that any backend put there, for a host from which exile is removed. It refuses while exiled is
// running, which would put it back.
func reset(ctx context.Context) error {
	lock, err := firewall.Acquire(0)
	if err != nil {
		return err
	}
	return errors.Join(auto.Sweep(ctx, ""), lock.Close())
}
