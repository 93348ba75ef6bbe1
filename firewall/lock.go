package firewall

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld says that another exiled already bans in this network namespace.
var ErrHeld = errors.New("another exiled is running in this network namespace: stop it first")

// account is the system user that exiled runs as.
const account = "exile"

// lockName is an abstract socket: such a name belongs to one network namespace, like the firewall, and ends with the process.
const lockName = "@org.exile1.firewall"

// Lock is held by the one process that changes the firewall of a network namespace.
type Lock struct {
	listener net.Listener // nil: another user has the name, see Acquire
}

// Acquire takes the lock of the network namespace that netns, an open file, stands for; 0 is the caller's own. The error is
// ErrHeld if root, exile's own user or the caller's user holds it. Anybody may bind an abstract name, so it does not count if
// any other user holds it: that must not keep the daemon from starting. (If the kernel has owned tables, ipset still refuses
// a second instance in that case.)
func Acquire(netns int) (*Lock, error) {
	var l Lock
	err := Await(ErrHeld, func() error { return InNamespace(netns, l.listen) })
	if err != nil {
		return nil, fmt.Errorf("lock firewall: %w", err)
	}
	if l.listener != nil {
		go l.answer()
	}
	return &l, nil
}

// Await calls f, and repeats that for a fifth of a second while it returns the error held: the sockets of an exiled that
// ended may live on for a moment in a child between fork and exec.
func Await(held error, f func() error) error {
	err := f()
	for tries := 0; errors.Is(err, held) && tries < 20; tries++ {
		time.Sleep(10 * time.Millisecond)
		err = f()
	}
	return err
}

// listen binds the name, or leaves the listener nil if another user has it.
func (l *Lock) listen() error {
	listener, err := net.Listen("unix", lockName)
	if errors.Is(err, unix.EADDRINUSE) {
		return holder()
	}
	if err != nil {
		return err
	}
	l.listener = listener
	return nil
}

// Close releases the lock.
func (l *Lock) Close() error {
	if l.listener == nil {
		return nil
	}
	return l.listener.Close()
}

// answer keeps the backlog empty, so that others can ask who we are. The pause bounds the work that a local user can cause.
func (l *Lock) answer() {
	for {
		conn, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			conn.Close()
		}
		time.Sleep(time.Millisecond)
	}
}

// holder returns ErrHeld if a trusted user holds the name.
func holder() error {
	conn, err := net.Dial("unix", lockName)
	for tries := 0; err != nil && tries < 10; tries++ { // it may have bound the name and not be listening yet
		time.Sleep(10 * time.Millisecond)
		conn, err = net.Dial("unix", lockName)
	}
	if err != nil {
		return nil // an exiled would answer
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return fmt.Errorf("ask who holds %s: %w", lockName, err)
	}
	if trusted(cred.Uid) {
		return fmt.Errorf("%w (process %d)", ErrHeld, cred.Pid)
	}
	return nil
}

// trusted reports whether a process of that user can be an exiled.
func trusted(uid uint32) bool {
	if uid == 0 || int(uid) == os.Getuid() {
		return true
	}
	u, err := user.Lookup(account)
	return err == nil && u.Uid == strconv.FormatUint(uint64(uid), 10)
}

// InNamespace calls f on a thread that is in the network namespace which netns, an open file, stands for; 0 is the
// caller's own. Sockets that f opens stay there. f must not start goroutines that open sockets.
func InNamespace(netns int, f func() error) error {
	if netns == 0 {
		return f()
	}
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, so no other goroutine can land in the foreign namespace.
		runtime.LockOSThread()
		if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}
