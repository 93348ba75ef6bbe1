// Command exiled-actions has done, when exile bans somebody or lifts a ban, what the administrator's actions say. As a daemon it reads exile's
// events from the journal and keeps the queues; as a helper, which systemd starts for each run, it does one thing in a sandbox for that.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker: -ldflags "-X main.version=...".
var version = "devel"

const usage = "usage: exiled-actions [--version | check [FILE] | deliver program|network|mail|reload]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return watch(ctx)
	case len(args) == 1 && args[0] == "--version":
		fmt.Println("exile", version)
		return nil
	case len(args) > 0 && args[0] == "check":
		return check(args[1:])
	case len(args) == 2 && args[0] == "deliver":
		return help(ctx, args[1])
	}
	return fmt.Errorf("%s; see man:exiled-actions.service(8)", usage)
}
