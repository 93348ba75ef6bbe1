package peers_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"exile/firewall/firewalltest"
	"exile/firewall/sockdiag"
	"exile/internal/control"
	"exile/internal/peers"
)

// kernel is the real one, asked in the network namespace of the test.
type kernel struct{ sockdiag.Owners }

func (k *kernel) Owner(ctx context.Context, c peers.Connection) (uint32, error) {
	return k.Owners.Owner(ctx, c.Local, c.Remote)
}

func (k *kernel) RootListens(ctx context.Context, port uint16) (bool, error) {
	return sockdiag.RootListens(ctx, port)
}

// client is one of blocklistd's protocol, written from it.
type client struct {
	t    *testing.T
	conn *net.UnixConn
}

// message is one as blocklistd's library sends it, with the address of somebody else in it.
func message(kind uint32, text string) []byte {
	m := make([]byte, 144, 144+len(text))
	m = append(m, text...)
	for i, n := range []uint32{uint32(len(m)), 1, kind, 16} {
		binary.NativeEndian.PutUint32(m[4*i:], n)
	}
	copy(m[16:], []byte{unix.AF_INET, 0, 0, 22, 192, 0, 2, 99})
	return m
}

func (c client) send(m []byte, fds ...int) {
	c.t.Helper()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := sendTo(c.conn, m, rights); err != nil {
		c.t.Fatal(err)
	}
}

// sendTo waits while the server has enough to read.
func sendTo(conn *net.UnixConn, m, rights []byte) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		failed = unix.Sendmsg(int(fd), m, rights, nil, 0)
		return !errors.Is(failed, unix.EAGAIN)
	})
	return errors.Join(err, failed)
}

// log remembers what was written.
type log struct {
	mu   sync.Mutex // the server writes while the test reads
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// descriptor returns the number of a connection's descriptor, which stays open until the test ends.
func descriptor(t *testing.T, conn interface{ File() (*os.File, error) }) int {
	t.Helper()
	f, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return int(f.Fd())
}

// pair is a connection to a port, from both ends.
func pair(t *testing.T, l *net.TCPListener, from string) (client, server *net.TCPConn) {
	t.Helper()
	local, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: local}
	out, err := d.DialContext(t.Context(), "tcp4", fmt.Sprintf("127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = out.Close(), in.Close() })
	return out.(*net.TCPConn), in.(*net.TCPConn)
}

func listen(t *testing.T, address string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

// Whoever holds an accepted connection reports its other end, and nobody reports anything else.
func TestReports(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	enter(t, ns)
	heard := make(chan control.Report, 100)
	where, said := socket(t, ns, heard)
	c := client{t, dial(t, where)}

	l, high := listen(t, "127.0.0.1:110"), listen(t, "127.0.0.1:0")
	out, in := pair(t, l, "127.0.0.7:0")
	good := descriptor(t, in)
	c.send(message(1, "pop3"), good)
	c.send(message(2, ""), good)
	c.send(message(4, strings.Repeat("x", 1024)), good)
	for _, success := range []bool{false, true, false} {
		want := control.Report{Port: 110, Addr: netip.MustParseAddr("127.0.0.7"), Success: success}
		if got := <-heard; got != want {
			t.Errorf("%+v is reported, want %+v", got, want)
		}
	}
	six := listen(t, "[::]:143")
	_, mapped := pair(t, six, "127.0.0.8:0")
	c.send(message(1, ""), descriptor(t, mapped))
	if got := <-heard; got.Addr != netip.MustParseAddr("127.0.0.8") || got.Port != 143 {
		t.Errorf("%+v is reported over IPv6", got)
	}

	waiting, err := net.Dial("tcp4", "127.0.0.1:110")
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	as(t, 1001, func() error { // who accepts may report, and is believed about no success
		in, err := l.AcceptTCP()
		if err != nil {
			return err
		}
		defer in.Close()
		f, err := in.File()
		if err != nil {
			return err
		}
		defer f.Close()
		return sendFrom(where, int(f.Fd()), message(2, ""), message(1, ""))
	})
	if got := <-heard; got.Success || got.Addr != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("%+v is reported by another user", got)
	}

	udp, err := net.Dial("udp", "127.0.0.1:110")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, unprivileged := pair(t, high, "127.0.0.9:0")
	outward, _ := pair(t, high, "127.0.0.1:995") // from a port of services at which nobody listens
	foreign := descriptor(t, in)
	short, long, old, kind := message(1, "")[:100], message(1, "x"), message(1, ""), message(9, "")
	binary.NativeEndian.PutUint32(long, 144)
	binary.NativeEndian.PutUint32(old[4:], 2)
	for name, send := range map[string]func(){
		"UDP":                 func() { c.send(message(1, ""), descriptor(t, udp.(*net.UDPConn))) },
		"a listener":          func() { c.send(message(1, ""), descriptor(t, l)) },
		"a file":              func() { c.send(message(1, ""), int(file.Fd())) },
		"a Unix socket":       func() { c.send(message(1, ""), descriptor(t, c.conn)) },
		"the client's end":    func() { c.send(message(1, ""), descriptor(t, out)) },
		"any port":            func() { c.send(message(1, ""), descriptor(t, unprivileged)) },
		"outwards":            func() { c.send(message(1, ""), descriptor(t, outward)) },
		"no descriptor":       func() { c.send(message(1, "")) },
		"two descriptors":     func() { c.send(message(1, ""), good, good) },
		"short":               func() { c.send(short, good) },
		"a lie of its length": func() { c.send(long, good) },
		"another version":     func() { c.send(old, good) },
		"another type":        func() { c.send(kind, good) },
		"empty":               func() { c.send(nil, good) },
		"another user's":      func() { as(t, 1001, func() error { return sendFrom(where, foreign, message(1, "")) }) },
		"too long":            func() { c.send(message(1, strings.Repeat("x", 4000)), good) },
	} {
		send()
		c.send(message(2, "end"), good)
		if got := <-heard; !got.Success {
			t.Errorf("%s: %+v is reported", name, got)
		}
	}
	if said.mu.Lock(); !strings.Contains(said.text.String(), "Refused a report by descriptor") {
		t.Errorf("the log says %q", said.text.String())
	}
	said.mu.Unlock()
}

// TestFlood: the server takes only so many reports per second from one user.
func TestFlood(t *testing.T) {
	t.Parallel()
	ns := firewalltest.New(t)
	enter(t, ns)
	heard := make(chan control.Report, 10_000)
	where, _ := socket(t, ns, heard)
	c := client{t, dial(t, where)}
	_, in := pair(t, listen(t, "127.0.0.1:110"), "127.0.0.7:0")
	fd, began := descriptor(t, in), time.Now()
	for range 2000 {
		c.send(message(1, ""), fd)
	}
	if n, most := len(heard), 101+int(time.Since(began)/(10*time.Millisecond)); n > most || n == 0 {
		t.Errorf("%d of 2000 reports are heard, want at most %d", n, most)
	}
}

func socket(t *testing.T, ns firewalltest.NetNS, heard chan<- control.Report) (string, *log) {
	t.Helper()
	dir, err := os.MkdirTemp("", "peers") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	where, said := filepath.Join(dir, "s"), &log{}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: where, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(where, 0o666)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	cfg := peers.Config{Kernel: &kernel{}, Log: slog.New(slog.NewTextHandler(said, nil)), Report: func(_ context.Context, r control.Report) error {
		heard <- r
		return nil
	}}
	go func() {
		runtime.LockOSThread() // it ends with the goroutine
		if err := unix.Setns(ns.FD, unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- peers.Serve(ctx, l, cfg)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	return where, said
}

// enter has the test's goroutine, on a thread of its own that ends with it, live in the namespace.
func enter(t *testing.T, ns firewalltest.NetNS) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Setns(ns.FD, unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

// as calls f as another user.
func as(t *testing.T, uid uintptr, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine, and with it the user
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
			done <- errno
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// sendFrom sends messages with a descriptor over a socket of its own.
func sendFrom(where string, fd int, messages ...[]byte) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: where, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, m := range messages {
		if err := sendTo(conn, m, unix.UnixRights(fd)); err != nil {
			return err
		}
	}
	return nil
}

func dial(t *testing.T, where string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: where, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
