package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// doctorTime is how long one part of an examination may take.
const doctorTime = 5 * time.Minute

func newDoctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Prove that bans work on this host, for a report",
		Long: "Prove that bans work on this host: that a banned test address gets no answer from the ports that each jail closes, over IPv4 and IPv6,\n" +
			"also behind this host, and its neighbour does; that each jail can read its log, and how fast; that host names of ignoreip have\n" +
			"addresses; that no other program bans, too. It takes root, and leaves nothing behind. The report has no names and addresses of yours.",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := o.newConsole(os.Stdout)
			return errors.Join(o.examine(cmd.Context(), c), flush(c))
		},
	}
}

// examine runs the daemon's program twice: as its user, who has to read the logs, and as root, who sends packets.
func (o *options) examine(ctx context.Context, c *console) error {
	if os.Geteuid() != 0 {
		return errors.New("exilectl doctor takes root: try sudo exilectl doctor")
	}
	program, err := daemonProgram("exiled")
	if err != nil {
		return failure(err, "find the daemon's program")
	}
	var all error
	for _, part := range []string{"logs", "packets"} {
		as := &syscall.SysProcAttr{}
		if part == "logs" {
			if user := asUser("exile", capabilities()); user != nil {
				as = user
			}
		}
		as.Pdeathsig = syscall.SIGTERM // it lifts the test ban
		said, err := runDoctor(ctx, []string{program, "--doctor", part}, as)
		for line := range strings.Lines(said) {
			c.line(clean(strings.TrimSuffix(line, "\n")))
		}
		all = errors.Join(all, err)
	}
	return all
}

func runDoctor(ctx context.Context, command []string, as *syscall.SysProcAttr) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = doctorTime
	cmd.Dir, cmd.SysProcAttr = "/", as
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	var out, wrong head
	cmd.Stdout, cmd.Stderr = &out, &wrong
	err = runApart(cmd)
	if _, ended := errors.AsType[*exec.ExitError](err); ended && wrong.String() != "" {
		err = errors.New(strings.TrimSpace(quoteLines(wrong.String())))
	}
	return out.String(), err
}
