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

	"exile/dbusapi"
)

// dial connects to the daemon: here, on another host, or in a container. Where there is no bus here it looks for the
// Varlink socket.
func (o *options) dial(ctx context.Context) (daemon, error) {
	cfg := dbusapi.ClientConfig{Interactive: !o.noAsk, Lost: o.lost}
	argv := o.bridge()
	if argv == nil {
		c, err := dbusapi.Dial(ctx, cfg)
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
	c, err := dbusapi.Dial(ctx, cfg)
	if err != nil {
		_ = bridge.Close()
		return nil, failure(fmt.Errorf("%s: %w (%s)", strings.Join(argv, " "), err, bridge.cmd.ProcessState), "reach exiled")
	}
	return c, nil
}

// bridge is the command that carries the bus of another host over its standard input and output; nil: the bus is here.
func (o *options) bridge() []string {
	switch {
	case o.host != "":
		return sshCommand(o.host)
	case o.machine != "":
		return []string{"systemd-stdio-bridge", "--machine=" + o.machine}
	}
	return nil
}

// sshCommand reaches [USER@]HOST[:PORT][/CONTAINER], where IPv6 addresses are in brackets, as systemctl -H does.
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

// startBridge runs another program because that is how the bus of another host is reached: with ssh, its keys and its
// configuration, exactly as systemctl -H does.
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

// Close ends the program. What it says of that is not news: we closed its input.
func (b *bridgeStream) Close() error {
	err := b.WriteCloser.Close()
	_ = b.cmd.Wait()
	return err
}

// startAgent starts the program that asks for passwords on this terminal, when one may be needed. It returns when the
// agent is ready; the function ends it.
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
		_, _ = io.Copy(io.Discard, ready) // until the agent closes its end: it is registered
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

// paged runs f with a console that leads through a pager when the output is a terminal.
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
		c.width = 0 // it scrolls to the side
	}
	err = errors.Join(f(c), flush(c))
	if cmd.Process != nil {
		_ = in.Close()
		_ = cmd.Wait()
	}
	return err
}

// pagerCommand is $SYSTEMD_PAGER where the user says that it is secure, then $PAGER, then less; nil: none.
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

// isClosedPipe reports whether the reader of our output had enough: the user left the pager, or head its input.
func isClosedPipe(err error) bool {
	return errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.EPIPE)
}
