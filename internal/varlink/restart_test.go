package varlink

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/internal/control"
)

// step is what a restarting daemon does with one connection.
type step int

const (
	closed   step = iota // closes it with the call unread; the caller sees a reset
	rebound              // likewise, and its socket is gone for a moment
	taken                // reads the call, and ends without a reply
	answered             // replies that one ban was lifted
)

// restarting serves one connection per step. The function returns the methods that were read.
func restarting(t *testing.T, steps ...step) (*Client, func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l := listenAt(t, path)
	var methods []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, s := range steps {
			conn, err := l.AcceptUnix()
			if err != nil {
				t.Error(err)
				break
			}
			if s == rebound {
				_ = l.Close()
			}
			if method := treat(t, conn, s); method != "" {
				methods = append(methods, method)
			}
			if s == rebound {
				l = listenAt(t, path)
			}
		}
		_ = l.Close()
	}()
	return &Client{path: path, wait: time.Minute, restart: time.Minute}, func() []string { <-ended; return methods }
}

func listenAt(t *testing.T, path string) *net.UnixListener {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Error(err)
	}
	return l
}

// treat performs a step on a connection, and returns the method that it read.
func treat(t *testing.T, conn *net.UnixConn, s step) string {
	defer conn.Close()
	if s == closed || s == rebound {
		arrived(t, conn)
		return ""
	}
	call, err := bufio.NewReader(conn).ReadString(0)
	if err != nil {
		t.Error(err)
	}
	if s == answered {
		_, _ = io.WriteString(conn, `{"parameters":{"removed":1}}`+"\x00")
	}
	_, method, _ := strings.Cut(call, Interface+".")
	method, _, _ = strings.Cut(method, `"`)
	return method
}

// arrived returns once there is something to read, without reading it.
func arrived(t *testing.T, conn *net.UnixConn) {
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return !errors.Is(err, unix.EAGAIN)
		})
	}
	if err != nil {
		t.Error(err)
	}
}

// A restarting daemon closes connections with unanswered calls. A question is asked again; a command only if the daemon
// cannot have read it.
func TestCallsOutliveARestart(t *testing.T) {
	t.Parallel()
	question := func(c *Client) error { _, err := c.Status(t.Context()); return err }
	names := func(c *Client) error { _, err := c.Names(t.Context(), ""); return err }
	command := func(c *Client) error {
		n, err := c.Unban(t.Context(), "", netip.MustParsePrefix("192.0.2.1/32"))
		if err == nil && n != 1 {
			t.Errorf("lifted %d bans", n)
		}
		return err
	}
	for _, tt := range []struct {
		name  string
		call  func(*Client) error
		steps []step
		read  []string
		fails bool
	}{
		{"question", question, []step{closed, answered}, []string{"GetStatus"}, false},
		{"question, twice", question, []step{closed, closed, answered}, []string{"GetStatus"}, false},
		{"question, socket away", question, []step{rebound, answered}, []string{"GetStatus"}, false},
		{"question that was read", question, []step{taken, answered}, []string{"GetStatus", "GetStatus"}, false},
		{"list that was read", names, []step{taken, answered}, []string{"ListNames", "ListNames"}, false},
		{"command", command, []step{closed, answered}, []string{"Unban"}, false},
		{"command, socket away", command, []step{rebound, answered}, []string{"Unban"}, false},
		{"command that was read", command, []step{taken}, []string{"Unban"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, read := restarting(t, tt.steps...)
			if err := tt.call(c); (err != nil) != tt.fails || tt.fails && !errors.Is(err, errUnanswered) {
				t.Errorf("error %v", err)
			}
			if got := read(); !slices.Equal(got, tt.read) {
				t.Errorf("the daemon read %q, want %q", got, tt.read)
			}
		})
	}
}

// A monitor that starts while the daemon restarts hears the next daemon.
func TestMonitorOutlivesARestart(t *testing.T) {
	t.Parallel()
	c, read := restarting(t, closed, answered)
	enough := errors.New("enough")
	err := c.Monitor(t.Context(), nil, func(control.Event) error { return enough })
	if got := read(); !slices.Equal(got, []string{"Monitor"}) || err == nil || !strings.Contains(err.Error(), "monitor exiled") {
		t.Errorf("the daemon read %q, error %v", got, err)
	}
}

// The client does not wait for ever for a socket that nobody serves.
func TestRestartTakesTooLong(t *testing.T) {
	t.Parallel()
	c, read := restarting(t, closed)
	c.restart = 1
	if _, err := c.Status(t.Context()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v", err)
	}
	read()
	gone := &Client{path: filepath.Join(t.TempDir(), "none"), wait: time.Minute, restart: time.Minute}
	if _, err := gone.Status(t.Context()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no socket: error %v", err)
	}
}
