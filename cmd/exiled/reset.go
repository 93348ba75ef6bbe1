package main

import (
	"context"
	"errors"
	"fmt"

	"exile/firewall/auto"
)

// reset removes from the kernel what any backend ever put there, for a host that exile leaves. A backend that the kernel
// does not have left nothing.
func reset(ctx context.Context) error {
	var failed error
	for _, name := range []string{"ipset", "nftables", "route"} {
		backend, _, _, err := auto.Choose(ctx, name)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("skip %s: %w", name, err))
			continue
		}
		failed = errors.Join(failed, backend.Destroy(ctx), backend.Close())
	}
	return failed
}
