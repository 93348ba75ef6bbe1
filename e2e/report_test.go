package e2e

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"exile/e2e/target"
)

// reporterEnv tells this program to be a daemon that reports whoever connects to it, over the socket that it names.
const reporterEnv = "EXILE_E2E_REPORTER"

// reportPort is where that daemon listens.
const reportPort = 110

// reportPeer is that daemon, which serves one connection.
func reportPeer(socket string, out io.Writer) error {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", reportPort))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	f, err := conn.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	to, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	message := make([]byte, 144) // of blocklistd's protocol: its length, its version, a failure
	for i, n := range []uint32{144, 1, 1} {
		binary.NativeEndian.PutUint32(message[4*i:], n)
	}
	err = unix.Sendmsg(to, message, unix.UnixRights(int(f.Fd())), &unix.SockaddrUnix{Name: socket}, 0)
	fmt.Fprintln(out, "sent", err)
	_, _ = io.Copy(io.Discard, os.Stdin) // a daemon goes on listening
	return errors.Join(err, f.Close(), conn.Close())
}

// reports has a daemon report who connects to it: exiled, in its sandbox, counts that.
func reports(t *testing.T, g *target.Target) {
	t.Helper()
	inside(t, g, "systemctl", "enable", "exiled-report.socket")
	inside(t, g, "systemctl", "restart", "exiled.service")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := g.Beside(limit(t, patience), self)
	cmd.Env = []string{reporterEnv + "=" + g.Path("/run/blocklistd.sock"), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	life, err := cmd.StdinPipe() // until it is closed
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = life.Close()
		_ = cmd.Wait() // as it says
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the daemon is not ready: %q, %v", lines.Text(), lines.Err())
	}
	guesser := attacker(t, g, "198.51.100.77")
	conn, err := guesser.Dial(limit(t, patience), reportPort)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !lines.Scan() || lines.Text() != "sent <nil>" {
		t.Fatalf("the daemon could not report: %q, %v", lines.Text(), lines.Err())
	}
	eventually(t, "the report counts", func() bool {
		out, err := g.Run(t.Context(), "exilectl", "list-failures", "--no-legend")
		return err == nil && strings.Contains(out, guesser.Addr.String())
	})
}
