package varlink

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestPeer: the caller is what the kernel recorded, not what the process is now.
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
	many := make([]int, 1000) // more than there is room for at first
	for i := range many {
		many[i] = 5000 + i
	}
	for uid, groups := range map[uint32][]int{0: nil, 12345: {7, 8}, 12346: many} {
		failed := make(chan error, 1)
		go func() { failed <- connectAs(uid, groups, path) }()
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		conn, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Peer(conn)
		if err != nil || got.UID != uid || got.PID != int32(os.Getpid()) {
			t.Errorf("uid %d connected and was taken for %d, process %d (%v)", uid, got.UID, got.PID, err)
		}
		for _, g := range groups {
			if !slices.Contains(got.Groups, uint32(g)) {
				t.Errorf("uid %d is not in group %d, but in %d", uid, g, got.Groups)
			}
		}
		_ = conn.Close()
	}
}

// connectAs connects and hangs up on a thread of that user, which ends with the goroutine.
func connectAs(uid uint32, groups []int, path string) error {
	runtime.LockOSThread()
	if uid != 0 {
		gids := make([]uint32, len(groups))
		for i, g := range groups {
			gids[i] = uint32(g)
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(gids)), uintptr(unsafe.Pointer(&gids[0])), 0); errno != 0 {
			return errno
		}
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

// A refused caller reads why, not the name of an error.
func TestDeniedInWords(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{
		"org.exile1.ListBans": "use sudo, or join the group systemd-journal",
		"org.exile1.Flush":    "org.exile1.unban-all: use sudo",
	} {
		if got := replyError(method, "org.varlink.service.PermissionDenied", "").Error(); !strings.HasSuffix(got, want) {
			t.Errorf("%s is refused with %q, want %q", method, got, want)
		}
	}
}

// The client does not wait for ever for a silent daemon.
func TestClientLosesPatience(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &Client{path: path, wait: 50 * time.Millisecond}
	if _, err := c.Status(t.Context()); err == nil || err.Error() != "no answer within 50ms" {
		t.Errorf("a silent daemon: %v", err)
	}
}
