package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"exile/internal/control"
)

// Kernel is what is asked about a connection.
type Kernel interface {
	// Owner is the user whose process accepted or made the connection with these ends, in this network.
	Owner(ctx context.Context, c Connection) (uid uint32, err error)
	// RootListens reports whether root listens at a port, in this network.
	RootListens(ctx context.Context, port uint16) (bool, error)
}

// Config is what a Server needs.
type Config struct {
	Report func(context.Context, control.Report) error
	Kernel Kernel
	Log    *slog.Logger
}

// reserved is the first port that any user may bind. Below it, a process that holds a connection at a port of root's has accepted it. From a port
// above it, a user could connect to an address of his choice, and report that address.
const reserved = 1024

// Limits on what one user may cost.
const (
	burst  = 100                   // reports at once
	refill = 10 * time.Millisecond // until one more is taken
	users  = 256                   // whose reports are counted; more share one count
	quiet  = time.Minute           // between two complaints in the log
)

// Serve takes reports from a datagram socket until ctx ends. A report that is refused is told in the log, now and then; its sender hears
// nothing, as with blocklistd.
func Serve(ctx context.Context, l *net.UnixConn, cfg Config) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	if err := wantCredentials(l); err != nil {
		return err
	}
	s := &server{Config: cfg, spent: make(map[uint32]allowance)}
	message, ancillary := make([]byte, messageMax), make([]byte, unix.CmsgSpace(64*4)+unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oobn, flags, _, err := l.ReadMsgUnix(message, ancillary)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("take reports: %w", err)
		}
		sent, err := unpack(ancillary[:oobn])
		if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			err = errors.New("a message that is too long")
		}
		if err == nil {
			err = s.take(ctx, message[:n], sent)
		}
		sent.close()
		s.complain(sent.uid, err)
	}
}

func wantCredentials(l *net.UnixConn) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("ask the kernel who sends reports: %w", err)
	}
	return nil
}

// sent is what came with a message: who sent it, by the kernel's word, and descriptors.
type sent struct {
	uid   uint32
	known bool
	files []int
}

func (s sent) close() {
	for _, fd := range s.files {
		_ = unix.Close(fd)
	}
}

func unpack(ancillary []byte) (s sent, err error) {
	messages, err := unix.ParseSocketControlMessage(ancillary)
	if err != nil {
		return s, fmt.Errorf("read what came with a message: %w", err)
	}
	for i := range messages {
		m := &messages[i]
		switch m.Header.Type {
		case unix.SCM_RIGHTS:
			fds, err := unix.ParseUnixRights(m)
			if s.files = append(s.files, fds...); err != nil {
				return s, err
			}
		case unix.SCM_CREDENTIALS:
			who, err := unix.ParseUnixCredentials(m)
			if err != nil {
				return s, err
			}
			s.uid, s.known = who.Uid, true
		}
	}
	return s, nil
}

// allowance is how much a user has reported lately.
type allowance struct {
	left int
	at   time.Time
}

type server struct {
	Config
	spent map[uint32]allowance
	told  time.Time
	kept  int // complaints that were not told since
}

// take checks a report and passes it on.
func (s *server) take(ctx context.Context, message []byte, with sent) error {
	success, err := parse(message)
	switch {
	case err != nil:
		return err
	case !with.known:
		return errors.New("nobody knows who sends it")
	case len(with.files) != 1:
		return fmt.Errorf("%d descriptors, want one", len(with.files))
	case !s.may(with.uid, time.Now()):
		return errors.New("too many reports")
	}
	c, err := s.accepted(ctx, with.files[0], with.uid)
	if err != nil {
		return err
	}
	if success && with.uid != 0 {
		return nil // a service that was taken over could make its attacker trusted
	}
	return s.Report(ctx, control.Report{Port: c.Local.Port(), Addr: c.Remote.Addr(), Success: success})
}

// accepted returns the connection behind a descriptor, if the user accepted it here for a service of this host.
func (s *server) accepted(ctx context.Context, fd int, uid uint32) (Connection, error) {
	c, err := look(fd)
	if err != nil {
		return c, fmt.Errorf("the descriptor cannot be reported: %w", err)
	}
	if c.Local.Port() >= reserved {
		return c, fmt.Errorf("port %d: only connections to ports below %d are reported, which nobody but root may bind", c.Local.Port(), reserved)
	}
	if owner, err := s.Kernel.Owner(ctx, c); err != nil {
		return c, err
	} else if owner != uid {
		return c, fmt.Errorf("the connection from %s is of user %d", c.Remote, owner)
	}
	listens, err := s.Kernel.RootListens(ctx, c.Local.Port())
	if err == nil && !listens {
		err = fmt.Errorf("port %d: root does not listen there, so the connection may lead outwards", c.Local.Port())
	}
	return c, err
}

// may reports whether a user may report once more.
func (s *server) may(uid uint32, now time.Time) bool {
	a, known := s.spent[uid]
	if !known && len(s.spent) >= users {
		uid = ^uint32(0)
		a, known = s.spent[uid]
	}
	if !known {
		a = allowance{burst, now}
	}
	if gained := int(now.Sub(a.at) / refill); gained > 0 {
		a = allowance{min(burst, a.left+gained), now}
	}
	a.left--
	ok := a.left >= 0
	a.left = max(a.left, 0)
	s.spent[uid] = a
	return ok
}

// complain tells why a report was refused, once in a while: anybody may send anything.
func (s *server) complain(uid uint32, err error) {
	if err == nil || control.Unanswered(err) {
		return
	}
	if now := time.Now(); now.Sub(s.told) < quiet {
		s.kept++
	} else {
		s.Log.Warn("Refused a report by descriptor", "uid", uid, "reason", err, "untold", s.kept)
		s.told, s.kept = now, 0
	}
}
