package varlink

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPeer: who calls is what the kernel says, not what the process is.
func TestPeer(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING WAS TESTED: only root can connect as somebody else")
	}
	path := fmt.Sprintf("@exile-peer-test-%d", os.Getpid()) // abstract: nobody but us may enter a test's folder
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, uid := range []uint32{0, 12345} {
		failed := make(chan error, 1)
		go func() { failed <- connectAs(uid, path) }()
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		conn, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := PeerUID(conn); err != nil || got != uid {
			t.Errorf("uid %d connected and was taken for %d (%v)", uid, got, err)
		}
		_ = conn.Close()
	}
}

// connectAs connects and hangs up on a thread of that user's, which ends with the goroutine.
func connectAs(uid uint32, path string) error {
	runtime.LockOSThread()
	if uid != 0 {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			return errno
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// Who is refused reads why, and not the name of an error.
func TestDeniedInWords(t *testing.T) {
	t.Parallel()
	if got := replyError("org.varlink.service.PermissionDenied", "").Error(); got != "only root may without a bus" {
		t.Errorf("refused with %q", got)
	}
}

// A daemon that does not answer is not waited for without end.
func TestClientLosesPatience(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &Client{path, 50 * time.Millisecond}
	if _, err := c.Status(t.Context()); err == nil || err.Error() != "no answer within 50ms" {
		t.Errorf("a silent daemon: %v", err)
	}
}
