package main

import (
	"context"
	"fmt"
	"os"

	"exile/dbusapi/systemd"
	"exile/internal/actions"
	"exile/internal/actions/deliver"
)

// help does one thing: systemd has connected the daemon to the standard input and output.
func help(ctx context.Context, does string) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("ask for the host name: %w", err)
	}
	h := deliver.Helper{Host: host, Does: does, Credentials: os.Getenv("CREDENTIALS_DIRECTORY")}
	if does == actions.ForReload {
		h.Reload = func(ctx context.Context, unit string) error { return systemd.Reload(ctx, "", unit) }
	}
	return h.Serve(ctx, os.Stdin, os.Stdout)
}
