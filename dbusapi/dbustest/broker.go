package dbustest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartBroker is Start with dbus-broker, the bus of Fedora and others. It needs root.
func StartBroker(t testing.TB) *Bus {
	t.Helper()
	if _, err := exec.LookPath("dbus-broker-launch"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: dbus-broker is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: dbus-broker wants a /run of its own, which needs root")
	}
	return start(t, (*Bus).broker)
}

// Buses are the implementations of the bus that distributions have, by name.
func Buses() map[string]func(testing.TB) *Bus {
	return map[string]func(testing.TB) *Bus{"dbus-daemon": Start, "dbus-broker": StartBroker}
}

// inItsRun runs dbus-broker's launcher in a /run of its own. It wants three things that systemd gives it: a socket that
// listens, journald's socket, and as the bus on which to find systemd, in a user's session, this very bus.
const inItsRun = `
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
mount --bind "$1/journal" /run/systemd/journal
export LISTEN_FDS=1 LISTEN_PID=$$ XDG_RUNTIME_DIR="$1"
exec dbus-broker-launch --scope user --config-file "$2"`

// broker starts dbus-broker on the socket, which listens from now on.
func (b *Bus) broker(ctx context.Context, file string) error {
	if err := b.journal(); err != nil {
		return err
	}
	listener, err := net.Listen("unix", b.socket())
	if err != nil {
		return err
	}
	passed, err := listener.(*net.UnixListener).File()
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close() // passed is a descriptor of its own
	if err != nil {
		return err
	}
	defer passed.Close()
	if err := os.Chmod(b.socket(), 0o777); err != nil { // other users connect too
		return err
	}
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "sh", "-ec", inItsRun, "sh", b.dir, file)
	cmd.ExtraFiles = []*os.File{passed}
	if err := Spawn(cmd); err != nil {
		return err
	}
	b.cmd = cmd
	return nil
}

// journal is a journald that reads nothing; a launcher writes a few lines, which the kernel keeps.
func (b *Bus) journal() error {
	if b.log != nil {
		return nil
	}
	dir := filepath.Join(b.dir, "journal")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	var err error
	b.log, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"})
	return err
}
