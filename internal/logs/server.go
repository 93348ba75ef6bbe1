package logs

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"exile/journal/textlog"
)

// maxQuestions is how many questions are answered at once, so that a network file system that hangs stops the other logs only after as many.
const maxQuestions = 16

// Server opens logs for one user.
type Server struct {
	User     uint32          // who may ask
	Patterns func() []string // of the logs that may be opened now; it is called by several goroutines
}

// Serve answers until the listener fails or is closed.
func (s *Server) Serve(l *net.UnixListener) error {
	free := make(chan struct{}, maxQuestions)
	for {
		free <- struct{}{}
		conn, err := l.AcceptUnix()
		if err != nil {
			return fmt.Errorf("wait for questions: %w", err)
		}
		go func() {
			defer func() { <-free }()
			defer conn.Close()
			_ = s.answer(conn) // a client that hangs up early gets no answer
		}()
	}
}

// answer reads a question and answers it. Another user gets no answer.
func (s *Server) answer(conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if uid, err := peer(conn); err != nil || uid != s.User {
		return err
	}
	packet := make([]byte, unix.PathMax)
	n, _, _, _, err := conn.ReadMsgUnix(packet, nil) // what is cut here is too long for parse
	if err != nil {
		return err
	}
	fd, err := s.open(packet[:n])
	if err != nil {
		_, err = conn.Write([]byte{number(err)})
		return err
	}
	defer unix.Close(fd)
	_, _, err = conn.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil)
	return err
}

// number is the errno that the client gets.
func number(err error) byte {
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok || errno == 0 || errno > 255 {
		errno = unix.EIO
	}
	return byte(errno)
}

// peer returns the user who connected, as recorded by the kernel.
func peer(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// open opens what a packet asks for. What no pattern matches is not even looked at: the answer does not say whether it exists.
func (s *Server) open(packet []byte) (fd int, err error) {
	name, ok := parse(packet)
	if !ok {
		return -1, unix.EACCES
	}
	patterns := s.Patterns()
	log := slices.ContainsFunc(patterns, func(p string) bool { return textlog.IsLog(p, name) })
	folder := slices.ContainsFunc(patterns, func(p string) bool { return textlog.IsFolder(p, name) })
	if !log && !folder {
		return -1, unix.EACCES
	}
	return open(name, log, folder)
}

// open opens a regular file or a folder. It looks at what it has found before it opens that: to open a FIFO or a device does something.
func open(name string, log, folder bool) (fd int, err error) {
	t, err := find(name)
	if err != nil {
		return -1, err
	}
	defer unix.Close(t.fd)
	switch kind := t.info.Mode & unix.S_IFMT; {
	case kind == unix.S_IFREG && log && t.own():
	case kind == unix.S_IFDIR && folder && !t.shelters():
	default:
		return -1, unix.EACCES
	}
	return again(func() (int, error) {
		return unix.Open(fmt.Sprintf("/proc/self/fd/%d", t.fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
}

// target is what a path leads to, open only to be looked at, and what is known of the way.
type target struct {
	fd     int
	info   unix.Stat_t
	folder unix.Stat_t // that holds it
	closed bool        // others than owners and groups may not go through the folders above it
}

// own reports whether a file can be no other file by another name. A user who may write to the folder could have linked to one, and waited
// until the other name was gone.
func (t *target) own() bool {
	return t.info.Nlink <= 1 && (t.folder.Uid == 0 || t.folder.Uid == t.info.Uid)
}

// shelters reports whether a folder is open to everybody, and only those above it are not. With its descriptor, files in it could be opened
// that nobody can reach by their paths.
func (t *target) shelters() bool { return t.closed && t.info.Mode&unix.S_IXOTH != 0 }

// find goes to a path part by part and follows no link, which somebody who may write to one of its folders could have put there. One call of
// openat2(2) would do, but a unit with RestrictSUIDSGID= may not call it.
func find(name string) (t target, err error) {
	at := unix.AT_FDCWD // the first part is "/"
	for i, part := range parts(name) {
		t.fd, err = again(func() (int, error) { return unix.Openat(at, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) })
		if at != unix.AT_FDCWD {
			_ = unix.Close(at)
		}
		if err != nil {
			return t, err
		}
		t.folder, t.closed = t.info, t.closed || i > 0 && t.info.Mode&unix.S_IXOTH == 0
		if err = unix.Fstat(t.fd, &t.info); err == nil && t.info.Mode&unix.S_IFMT == unix.S_IFLNK {
			err = unix.ELOOP
		}
		if err != nil {
			_ = unix.Close(t.fd)
			return t, err
		}
		at = t.fd
	}
	return t, nil
}

// again repeats a call that a signal ended.
func again(call func() (int, error)) (fd int, err error) {
	for {
		if fd, err = call(); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// parts are the root and the names in a clean path.
func parts(name string) []string {
	return slices.Concat([]string{"/"}, slices.DeleteFunc(strings.Split(name, "/"), func(part string) bool { return part == "" }))
}
