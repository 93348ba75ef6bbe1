package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"exile/dbusapi/client"
)

// This file reaches the daemon, and starts the programs that this takes: the bridge to another host, the password agent, the
// pager.

// dial connects to the daemon: here, on another host, or in a container. If there is no bus here it tries the Varlink socket.
func (o *options) dial(ctx context.Context) (daemon, error) {
	cfg := client.Config{Start: o.start, Interactive: !o.noAsk, Lost: o.lost}
	argv := o.bridge()
	if argv == nil {
		c, err := client.Dial(ctx, cfg)
		if err != nil {
			return dialSocket(ctx, err, o.lost)
		}
		return c, nil
	}
	bridge, err := startBridge(ctx, argv)
	if err != nil {
		return nil, failure(err, "start %s", argv[0])
	}
	cfg.Stream = bridge
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		_ = bridge.Close()
		return nil, failure(fmt.Errorf("%s: %w (%s)", strings.Join(argv, " "), err, bridge.cmd.ProcessState), "reach exiled")
	}
	return c, nil
}

// bridge is the command that connects the bus of another host to its standard input and output; nil: the bus is here.
func (o *options) bridge() []string {
	switch {
	case o.host != "":
		return sshCommand(o.host)
	case o.machine != "":
		return []string{"systemd-stdio-bridge", "--machine=" + o.machine}
	}
	return nil
}

// sshCommand reaches [USER@]HOST[:PORT][/CONTAINER], with IPv6 addresses in brackets, as systemctl -H does.
func sshCommand(where string) []string {
	where, container, inside := strings.Cut(where, "/")
	at := strings.LastIndexByte(where, '@') + 1
	user, host := where[:at], where[at:]
	argv := []string{"ssh", "-xT"}
	if name, port, err := net.SplitHostPort(host); err == nil {
		host, argv = name, append(argv, "-p", port)
	}
	argv = append(argv, "--", user+strings.Trim(host, "[]"), "systemd-stdio-bridge")
	if inside {
		argv = append(argv, "--machine="+container)
	}
	return argv
}

// bridgeStream is a running bridge.
type bridgeStream struct {
	io.WriteCloser
	io.Reader
	cmd *exec.Cmd
}

// startBridge runs another program because that is how systemctl -H reaches the bus of another host: with ssh, its keys and
// its configuration.
func startBridge(ctx context.Context, argv []string) (*bridgeStream, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &bridgeStream{in, out, cmd}, nil
}

// Close ends the program. Its complaints about that are ignored: we closed its input.
func (b *bridgeStream) Close() error {
	err := b.WriteCloser.Close()
	_ = b.cmd.Wait()
	return err
}

// startAgent starts the program that asks for passwords on this terminal, if one may be needed. It returns when the agent is
// ready; the returned function ends the agent.
func (o *options) startAgent() func() {
	if o.noAsk || o.bridge() != nil || os.Geteuid() == 0 || !isTerminal(os.Stdin) {
		return func() {}
	}
	ready, notify, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	cmd := exec.Command("pkttyagent", "--notify-fd=3", "--fallback")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{notify}
	err = cmd.Start()
	_ = notify.Close()
	if err == nil {
		_, _ = io.Copy(io.Discard, ready) // until the agent has registered and closes its end
	}
	_ = ready.Close()
	if err != nil {
		return func() {} // without an agent polkit says that it would have to ask
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
}

// paged runs f with a console that leads to a pager if the output is a terminal.
func (o *options) paged(f func(*console) error) error {
	argv := pagerCommand()
	if o.noPager || !isTerminal(os.Stdout) || argv == nil {
		c := o.newConsole(os.Stdout)
		return errors.Join(f(c), flush(c))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "LESS="+cmp.Or(os.Getenv("SYSTEMD_LESS"), "FRSXMK"), "LESSSECURE=1", "LESSCHARSET=utf-8")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	c := o.newConsole(os.Stdout)
	if err == nil {
		c.Reset(in)
		c.width = 0 // the pager scrolls sideways
	}
	err = errors.Join(f(c), flush(c))
	if cmd.Process != nil {
		_ = in.Close()
		_ = cmd.Wait()
	}
	return err
}

// pagerCommand is $SYSTEMD_PAGER if the user declares it secure, then $PAGER, then less; nil: none.
func pagerCommand() []string {
	pager := "less"
	if p, ok := os.LookupEnv("PAGER"); ok {
		pager = p
	}
	if p, ok := os.LookupEnv("SYSTEMD_PAGER"); ok && os.Getenv("SYSTEMD_PAGERSECURE") != "" {
		pager = p
	}
	argv := strings.Fields(pager)
	if len(argv) == 0 || argv[0] == "cat" {
		return nil
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil
	}
	return argv
}

// isClosedPipe reports whether the reader of our output has had enough: the user left the pager, or head its input.
func isClosedPipe(err error) bool {
	return errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.EPIPE)
}
