// Package dbustest starts private buses for tests.
package dbustest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// config is a system bus without the parts that need one: who may talk to whom is not what it is for.
const config = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
`

// Bus is a running bus.
type Bus struct {
	Address string // for DBUS_SYSTEM_BUS_ADDRESS

	dir    string
	launch func(b *Bus, ctx context.Context, file string) error // starts cmd
	cmd    *exec.Cmd
	log    *net.UnixConn // of dbus-broker
}

// Start starts a dbus-daemon that ends with the test. The test is skipped where there is none.
func Start(t testing.TB) *Bus {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: dbus-daemon is not installed")
	}
	return start(t, (*Bus).daemon)
}

func start(t testing.TB, launch func(*Bus, context.Context, string) error) *Bus {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus") // a socket's path must be short, t.TempDir's may not be
	if err != nil {
		t.Fatal(err)
	}
	b := &Bus{dir: dir, launch: launch}
	b.Address = "unix:path=" + b.socket()
	t.Cleanup(func() {
		b.Stop()
		if b.log != nil {
			_ = b.log.Close()
		}
		_ = os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil { // other users connect too
		t.Fatal(err)
	}
	if err := b.Run(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Bus) socket() string { return filepath.Join(b.dir, "bus") }

// Run starts the bus, again after Stop, and returns when it listens.
func (b *Bus) Run(ctx context.Context) error {
	file := filepath.Join(b.dir, "bus.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, b.socket()), 0o600); err != nil {
		return err
	}
	_ = os.Remove(b.socket())
	if err := b.launch(b, ctx, file); err != nil {
		b.Stop()
		return fmt.Errorf("start a bus: %w", err)
	}
	return nil
}

func (b *Bus) daemon(ctx context.Context, file string) error {
	b.cmd = exec.CommandContext(ctx, "dbus-daemon", "--config-file="+file, "--nofork", "--nopidfile", "--nosyslog", "--print-address")
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := Spawn(b.cmd); err != nil {
		b.cmd = nil
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "unix:") {
		return fmt.Errorf("dbus-daemon said %q: %w", line, err)
	}
	return nil
}

// Spawn starts a program that dies with this process, however that ends. The kernel kills it when the thread ends that started it, and a
// thread of Go's ends with any goroutine that is locked to it: so this one is kept for as long as the program runs.
func Spawn(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		} // any other error means that somebody has waited for it
	}()
	return <-started
}

// Stop ends the bus and waits for it.
func (b *Bus) Stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	b.cmd = nil
}
