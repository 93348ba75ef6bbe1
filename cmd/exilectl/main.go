// Command exilectl queries and controls the ban daemon exiled. Each verb has its own file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker: -ldflags "-X main.version=...".
var version = "devel"

func main() { os.Exit(run()) }

// run is the whole program; it returns the exit status.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRootCommand().ExecuteContext(ctx)
	return exitStatus(err)
}

// exitError ends the program with its own status, like systemctl is-active, and says why if err is not nil.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitInterrupted is the status that shells give an interrupted program.
const exitInterrupted = 128 + int(syscall.SIGINT)

// exitStatus shows err to the user and returns its status. It says nothing about an interrupt: the user caused it.
func exitStatus(err error) int {
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	status := 1
	if exit, ok := errors.AsType[*exitError](err); ok {
		if status = exit.status; exit.err == nil {
			err = nil
		}
	} else if err == nil {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, quoteLines(sentences(err.Error())))
	}
	return status
}

// sentences begins each line with a capital letter, unless the line begins with a name, as in "exile.yaml:3: ...".
func sentences(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		word, _, _ := strings.Cut(l, " ")
		if len(word) > 0 && !strings.ContainsAny(word, ".:/") && 'a' <= l[0] && l[0] <= 'z' {
			lines[i] = string(l[0]-'a'+'A') + l[1:]
		}
	}
	return strings.Join(lines, "\n")
}

// newRootCommand lists the verbs. A verb is a file with a function that returns its command. The default verb is status.
func newRootCommand() *cobra.Command {
	o := &options{}
	status := newStatusCommand(o)
	root := &cobra.Command{
		Use:           "exilectl [OPTIONS...] COMMAND",
		Short:         "Query or send commands to the ban daemon",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownVerb,

		SuggestionsMinimumDistance: 2,

		RunE:              func(cmd *cobra.Command, args []string) error { return status.RunE(cmd, args) },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // completions are shipped
	}
	root.SetVersionTemplate("exile {{.Version}}\n")
	root.SetHelpCommand(newHelpCommand())
	o.register(root)
	group(root, "Questions", status, newListJailsCommand(o), newListBansCommand(o),
		newListFailuresCommand(o), newListNamesCommand(o), newListBlocklistsCommand(o), newIsBannedCommand(o), newExplainCommand(o), newWhyNotCommand(o), newShowCommand(o), newStatisticsCommand(o),
		newMonitorCommand(o), o.here(newHistoryCommand(o)), newTopCommand(o), o.here(newActionsCommand(o)), o.here(newMatchCommand(o)),
		newReplayCommand(o), newReportCommand(o), newSuggestCommand(o))
	group(root, "Commands", newBanCommand(o), newUnbanCommand(o), newFlushCommand(o), newForgetCommand(o),
		newExportCommand(o), newImportCommand(o), newReloadCommand(o), newPauseCommand(o), newLogLevelCommand(o),
		newReportFailureCommand(o), newResetFirewallCommand(o), o.here(newDoctorCommand(o)))
	group(root, "Configuration", o.here(newCatConfigCommand(o)), o.here(newCheckConfigCommand(o)), o.here(newEditCommand(o)), newApplyCommand(o), newConfirmCommand(o),
		o.here(newListFiltersCommand(o)), o.here(newEnableCommand(o)), o.here(newDisableCommand(o)), o.here(newTrialCommand(o)), o.here(newNewFilterCommand(o)),
		o.here(newImportFail2banCommand(o)), newSSHDExemptCommand(o))
	return root
}
