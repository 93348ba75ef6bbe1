// Command exilectl asks and commands the ban daemon exiled. Each verb is one file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is what the linker puts in: -ldflags "-X main.version=...".
var version = "devel"

func main() { os.Exit(run()) }

// run is the whole program; it returns the exit status.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRootCommand().ExecuteContext(ctx)
	return exitStatus(err)
}

// exitError ends the program with a status of its own, like systemctl is-active does.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exitStatus reports err to the user, unless it is only a status, and returns the status.
func exitStatus(err error) int {
	var status exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintln(os.Stderr, quoteLines(err.Error()))
	return 1
}

// newRootCommand lists the verbs. A verb is a file with a function that returns its command.
func newRootCommand() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:               "exilectl [OPTIONS...] COMMAND",
		Short:             "Query or send commands to the ban daemon",
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	o.register(root)
	root.AddCommand(
		newStatusCommand(o), newListJailsCommand(o), newListBansCommand(o),
		newBanCommand(o), newUnbanCommand(o), newFlushCommand(o),
	)
	return root
}
