package allow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec" // ignorecommand is a program of the administrator: there is no other way to ask it
	"strings"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"exile/internal/human"
)

const (
	commandTimeout = 5 * time.Second
	maxCommands    = 4    // at once
	maxAnswers     = 4096 // kept
)

// Commands runs the ignorecommands of all jails, a few at a time.
type Commands struct {
	slots chan struct{}
}

// NewCommands returns Commands with nothing running.
func NewCommands() *Commands { return &Commands{slots: make(chan struct{}, maxCommands)} }

// Command is the ignorecommand of one jail. It is safe for concurrent use.
type Command struct {
	shared  *Commands
	argv    []string
	keep    time.Duration
	answers *lru.Cache[netip.Addr, verdict]
}

type verdict struct {
	ignored bool
	until   time.Time
}

// Command returns the command with that argument vector, in which <ip> stands for the address. Its answers are kept for that long; 0: it is
// run each time.
func (c *Commands) Command(argv []string, keep time.Duration) (*Command, error) {
	if len(argv) == 0 {
		return nil, errors.New("ignorecommand: no program is named")
	}
	answers, err := lru.New[netip.Addr, verdict](maxAnswers)
	if err != nil {
		return nil, err
	}
	return &Command{shared: c, argv: argv, keep: keep, answers: answers}, nil
}

// Ignored asks whether addr is to be spared: the command exits with 0. It takes at most 5 seconds once one of the four slots is free. An error
// means that there is no answer; the address is then banned, as if the answer were no.
func (c *Command) Ignored(ctx context.Context, addr netip.Addr) (bool, error) {
	if v, ok := c.answers.Get(addr); ok && time.Now().Before(v.until) {
		return v.ignored, nil
	}
	select {
	case c.shared.slots <- struct{}{}:
		defer func() { <-c.shared.slots }()
	case <-ctx.Done():
		return false, fmt.Errorf("run ignorecommand %s: %w", c.argv[0], context.Cause(ctx))
	}
	ignored, err := c.run(ctx, addr)
	if err != nil {
		return false, fmt.Errorf("run ignorecommand %s: %w", c.argv[0], err)
	}
	if c.keep > 0 {
		c.answers.Add(addr, verdict{ignored, time.Now().Add(c.keep)})
	}
	return ignored, nil
}

// run starts the program directly, without a shell and with an empty environment. When the time is over it kills everything that the program started.
func (c *Command) run(ctx context.Context, addr netip.Addr) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("no answer after %s", human.Span(commandTimeout)))
	defer cancel()
	argv := make([]string, len(c.argv))
	for i, arg := range c.argv {
		argv[i] = strings.ReplaceAll(arg, "<ip>", addr.String())
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return true, nil
	case ended && exit.Exited():
		return false, nil
	default:
		return false, err
	}
}
