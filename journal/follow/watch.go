package follow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// events: files come and go, and journald changes the size of one to wake its readers.
const events = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_MODIFY |
	unix.IN_DELETE_SELF | unix.IN_ONLYDIR

// watch waits for something to happen in directories.
type watch struct {
	dirs []string
	file *os.File // the inotify descriptor, in Go's poller; nil: the user has used up those that fs.inotify.max_user_instances allows
	buf  []byte
	on   bool
}

func newWatch(dirs []string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return &watch{dirs: dirs}, nil // each text log of a jail has one; the journal is looked at by the clock
	}
	if err != nil {
		return nil, fmt.Errorf("watch journal: %w", err)
	}
	return &watch{dirs: dirs, file: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 16<<10)}, nil
}

// add watches the directories that are there; watching one twice does nothing. One that cannot be watched is
// still looked at from time to time. Before the first wait it watches none: reading a file of a watched directory costs the
// kernel a tenth more, and most is read then.
func (w *watch) add() {
	if !w.on || w.file == nil {
		return
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for _, dir := range w.dirs {
			_, _ = unix.InotifyAddWatch(int(fd), dir, events)
		}
	})
}

// wait returns after d, when something happened, or when ctx ends. changed says that files may have been created or removed;
// the first call, which begins the watch, returns true.
func (w *watch) wait(ctx context.Context, d time.Duration) (changed bool, err error) {
	if !w.on {
		w.on = true
		return true, nil
	}
	if w.file == nil {
		sleep(ctx, d)
		return false, nil
	}
	if err := w.file.SetReadDeadline(time.Now().Add(d)); err != nil {
		return false, fmt.Errorf("set deadline: %w", err)
	}
	if ctx.Err() != nil { // wake may have come before the deadline was set
		return false, nil
	}
	n, err := w.file.Read(w.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return changes(w.buf[:n]), nil
}

// sleep waits until d is over or ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// changes reports whether one of the events is more than a change within a file.
func changes(b []byte) bool {
	for len(b) >= unix.SizeofInotifyEvent {
		mask := uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24
		name := int(uint32(b[12]) | uint32(b[13])<<8 | uint32(b[14])<<16 | uint32(b[15])<<24)
		if mask != unix.IN_MODIFY {
			return true
		}
		b = b[min(unix.SizeofInotifyEvent+name, len(b)):]
	}
	return false
}

// wake ends a wait.
func (w *watch) wake() {
	if w.file != nil {
		_ = w.file.SetReadDeadline(time.Unix(1, 0))
	}
}

func (w *watch) close() {
	if w.file != nil {
		_ = w.file.Close()
	}
}
