// Package dbustest starts private buses for tests.
package dbustest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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

// Bus is a running dbus-daemon.
type Bus struct {
	Address string // for DBUS_SYSTEM_BUS_ADDRESS

	dir string
	cmd *exec.Cmd
}

// Start starts a bus that ends with the test. The test is skipped where there is no dbus-daemon.
func Start(t testing.TB) *Bus {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: dbus-daemon is not installed")
	}
	dir, err := os.MkdirTemp("", "bus") // a socket's path must be short, t.TempDir's may not be
	if err != nil {
		t.Fatal(err)
	}
	b := &Bus{dir: dir, Address: "unix:path=" + filepath.Join(dir, "socket")}
	t.Cleanup(func() {
		b.Stop()
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

// Run starts the daemon, again after Stop, and returns when it listens.
func (b *Bus) Run(ctx context.Context) error {
	file := filepath.Join(b.dir, "bus.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, filepath.Join(b.dir, "socket")), 0o600); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(b.dir, "socket"))
	b.cmd = exec.CommandContext(ctx, "dbus-daemon", "--config-file="+file, "--nofork", "--nopidfile", "--nosyslog", "--print-address")
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves no bus behind
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start dbus-daemon: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "unix:") {
		b.Stop()
		return fmt.Errorf("start dbus-daemon: it said %q: %w", line, err)
	}
	return nil
}

// Stop ends the daemon and waits for it.
func (b *Bus) Stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	b.cmd = nil
}
