package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec" // the daemon's own program says what it would refuse
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newCheckConfigCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check-config [FILE]",
		Short: "Check the configuration, or one file, for mistakes",
		Long: "Check the configuration, or one file, for mistakes, with every check that exiled makes when it starts; for root, with the rights\n" +
			"of the user exile. Warnings name what would degrade exiled but not keep it from starting. Nothing is put in force.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			c := o.newConsole(os.Stdout)
			return errors.Join(o.checkConfig(cmd.Context(), c, args), flush(c))
		},
	}
}

func (o *options) checkConfig(ctx context.Context, c *console, args []string) error {
	if isAction(args) {
		return o.checkActions(ctx, c, args)
	}
	cfg, err := loadConfig(args)
	if err != nil {
		return err
	}
	doubts, err := checkAsDaemon(ctx, args)
	if err != nil {
		return err
	}
	for _, path := range cfg.Files() {
		o.note(c, "Read %s.", path)
	}
	for _, p := range cfg.PassedOver(configSources(args)) {
		o.note(c, "Ignored %s: %s.", p.Path, p.Why)
	}
	for line := range strings.Lines(doubts) {
		o.note(c, "%s", strings.TrimSuffix(line, "\n"))
	}
	o.note(c, "The configuration is valid.")
	for i := range cfg.Jails {
		o.note(c, "%s", ruleOf(cfg, &cfg.Jails[i]))
	}
	if len(args) > 0 {
		return nil
	}
	return o.checkActions(ctx, c, nil)
}

// checkTime is how long the program may take.
const checkTime = time.Minute

// checkAsDaemon runs the daemon's program to check the files, or the named one, and returns its warnings. The daemon need not
// be able to read a named file yet: it is checked with the caller's rights.
func checkAsDaemon(ctx context.Context, args []string) (doubts string, err error) {
	program, err := daemonProgram("exiled")
	if err != nil {
		return "", nil // only this program is installed: it has checked the files
	}
	command := []string{program, "--check-config"}
	for _, file := range args {
		command = append(command, "--config", file)
	}
	var as *syscall.SysProcAttr
	if len(args) == 0 {
		as = asUser("exile", capabilities())
	}
	return runCheck(ctx, command, as)
}

// lastWeek says what a jail makes of the log of the last week, as the daemon would read it; nothing if only this program is installed.
func lastWeek(ctx context.Context, jail string) string {
	program, err := daemonProgram("exiled")
	if err != nil {
		return ""
	}
	said, err := runCheck(ctx, []string{program, "--last-week", jail}, asUser("exile", capabilities()))
	if err != nil {
		return "What it makes of the last week cannot be told: " + err.Error()
	}
	return strings.TrimSpace(quoteLines(said))
}

// runCheck runs a program that checks files as somebody, or as the caller, and returns its warnings. If it refuses them, the error has its words.
func runCheck(ctx context.Context, command []string, as *syscall.SysProcAttr) (doubts string, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second
	if as != nil {
		cmd.Dir, cmd.SysProcAttr = "/", as
	}
	// Another process of the daemon's user could stop it, trace it, or type on its terminal.
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	var said, refused head
	cmd.Stdout, cmd.Stderr = &said, &refused
	err = runApart(cmd)
	_, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case ended && refused.String() != "":
		return "", errors.New(strings.TrimSpace(quoteLines(refused.String())))
	case err != nil: // for example where root may not become another user: the files themselves were checked
		return said.String() + fmt.Sprintf("Warning: The check with the daemon's rights ended early: %v\n", err), nil
	}
	return said.String(), nil
}

// daemonProgram is a program of a daemon that was installed with this one.
func daemonProgram(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(self), "../lib/exile", name)
	_, err = os.Stat(program)
	return program, err
}

// asUser returns a daemon's user, the groups that its unit gives it, and its capabilities; nil if the caller cannot set them.
func asUser(name string, caps []uintptr) *syscall.SysProcAttr {
	u, err := user.Lookup(name)
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	c := &syscall.Credential{Uid: number(u.Uid), Gid: number(u.Gid)}
	if g, err := user.LookupGroup("systemd-journal"); err == nil {
		c.Groups = append(c.Groups, number(g.Gid))
	}
	return &syscall.SysProcAttr{Setsid: true, Credential: c, AmbientCaps: caps}
}

// capabilities are the daemon's, plus one that nobody uses: the kernel lets no process trace another one, or write to its
// memory, if that has a capability which the tracer lacks. A daemon that has been taken over runs as the same user.
func capabilities() (list []uintptr) {
	for _, c := range []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_BROADCAST} {
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err == nil && has == 1 { // missing in some containers
			list = append(list, c)
		}
	}
	return list
}

// runApart runs a program that inherits only the three standard files, and cannot gain rights through a setuid program.
func runApart(cmd *exec.Cmd) error {
	// Ours are closed anyway, but not those that our caller left open. Every kernel that we support has this call.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread cannot get its rights back and ends with this function
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			ended <- err
			return
		}
		ended <- cmd.Run()
	}()
	return <-ended
}

// maxSaid is how much of a program's output is kept.
const maxSaid = 1 << 20

// head keeps the beginning of what is written to it.
type head struct{ text []byte }

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), maxSaid-len(h.text))]...)
	return len(p), nil
}

func (h *head) String() string { return string(h.text) }

// number reads an ID of the user database. If that fails it returns the ID of nobody.
func number(id string) uint32 {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 65534
	}
	return uint32(n)
}
